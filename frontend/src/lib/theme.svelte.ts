export type Theme = "system" | "light" | "dark";

const KEY = "prefloop.theme";
let chosen = $state<Theme>(stored());

export const theme = {
  get chosen() {
    return chosen;
  },
  choose(next: Theme) {
    chosen = next;
    if (next === "system") {
      delete document.documentElement.dataset.theme;
      localStorage.removeItem(KEY);
    } else {
      document.documentElement.dataset.theme = next;
      localStorage.setItem(KEY, next);
    }
  },
};

function stored(): Theme {
  const value = document.documentElement.dataset.theme;
  return value === "light" || value === "dark" ? value : "system";
}
