/**
 * How the focus came to where it is. Enter works a button or a link that somebody went to with
 * Tab; a click leaves the focus behind as well, and there Enter belongs to the page.
 *
 * `:focus-visible` does not tell: after a click it becomes true with the next letter typed.
 */
const byKeyboard = new WeakSet<Element>();
/** `away`: the focus was outside of the page, for example in the address bar. */
let last: "tab" | "pointer" | "other" | "away" = "away";
let before: Element | null = null;

export const focusOrigin = {
  start(): void {
    addEventListener("keydown", (event) => (last = event.key === "Tab" ? "tab" : "other"), true);
    addEventListener("pointerdown", pointed, true);
    addEventListener("blur", ({ target }) => target === window && left());
    addEventListener("focusin", arrived, true);
  },
  /** Whether somebody moved to the element by keyboard. */
  byKeyboard: (element: Element): boolean => byKeyboard.has(element),
};

/** Whoever takes the mouse has left what they had gone to with Tab, also where the click does not move the focus. */
function pointed(): void {
  last = "pointer";
  if (document.activeElement) byKeyboard.delete(document.activeElement);
}

function left(): void {
  last = "away";
  before = document.activeElement;
}

function arrived({ target }: FocusEvent): void {
  if (!(target instanceof Element)) return;
  if (last === "pointer") byKeyboard.delete(target);
  else if (last === "tab" || (last === "away" && target !== before && target.matches(":focus-visible"))) byKeyboard.add(target);
  // Else a script gave the focus back (a dialog that closed): what was known of the element holds.
}
