import type { Component } from "svelte";
import { unsaved } from "./unsaved.svelte";

/**
 * History router. Pages are lazy; every same-origin `<a href>` navigates without a page load.
 * `:name` in a pattern matches one path segment and is given to the page as a prop of that name.
 */
export type Params = Record<string, string>;
// Pages declare the props they need; the router can only promise strings.
export type Page = Component<any>;
export interface Route {
  pattern: string;
  load: () => Promise<{ default: Page }>;
  /** Open to people who are not signed in. */
  open?: boolean;
}

let path = $state(location.pathname);
let search = $state(location.search);
/** Place of the current entry in the history: the browser does not say how far Back went. */
let at = 0;
/** The next move in the history was asked about already. */
let allowed = false;

export const router = {
  get path() {
    return path;
  },
  get query(): URLSearchParams {
    return new URLSearchParams(search);
  },
  /** Moves to a path of this site ("/projects/x?tab=1"), unless that would lose something and the person stays. */
  go(to: string, { replace = false } = {}) {
    const next = new URL(to, location.href);
    if (isHere(next) || !unsaved.any()) move(next, replace);
    else void unsaved.mayLeave().then((leave) => leave && move(next, replace));
  },
  /** Changes query parameters in place; null removes one. */
  setQuery(changes: Record<string, string | number | null>) {
    const next = router.query;
    for (const [key, value] of Object.entries(changes)) {
      if (value === null || value === "") next.delete(key);
      else next.set(key, String(value));
    }
    const text = next.toString();
    history.replaceState({ at }, "", text ? `${path}?${text}` : path);
    sync();
  },
  start() {
    at = placeIn(history.state) ?? 0;
    history.replaceState({ at }, "");
    addEventListener("popstate", ({ state }) => traversed(placeIn(state)));
    addEventListener("beforeunload", (event) => unsaved.any() && event.preventDefault());
    document.addEventListener("click", followLink);
  },
};

const placeIn = (state: unknown): number | null => {
  const place = (state as { at?: unknown } | null)?.at;
  return typeof place === "number" ? place : null;
};

/** Another part of the page that is open; it stays as it is. */
const isHere = (next: { pathname: string; search: string }): boolean => next.pathname === path && next.search === search;

function move(next: URL, replace: boolean): void {
  if (next.href !== location.href) {
    if (!replace) at += 1;
    history[replace ? "replaceState" : "pushState"]({ at }, "", next);
  }
  sync();
  if (!replace) scrollTo(0, 0);
}

/** After Back or Forward. The browser has changed the address already, so asking means to restore it first. */
function traversed(there: number | null): void {
  if (there === null) {
    // A link to a part of this page made an entry of its own.
    at += 1;
    history.replaceState({ at }, "");
    return sync();
  }
  if (there === at) return; // restored
  if (allowed || isHere(location) || !unsaved.any()) {
    allowed = false;
    at = there;
    return sync();
  }
  const steps = there - at;
  history.go(-steps);
  void unsaved.mayLeave().then((leave) => {
    if (!leave) return;
    allowed = true;
    history.go(steps);
  });
}

function sync(): void {
  path = location.pathname;
  search = location.search;
}

function followLink(event: MouseEvent): void {
  if (event.defaultPrevented || event.button || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  const link = (event.target as Element | null)?.closest?.("a");
  if (!link?.href || link.target || link.hasAttribute("download") || link.origin !== location.origin) return;
  if (/^\/(api|admin|static)\//.test(link.pathname)) return;
  if (link.hash && link.pathname === location.pathname) return;
  event.preventDefault();
  router.go(link.href);
}

export function match(routes: readonly Route[], at: string): { route: Route; params: Params } | null {
  const parts = segments(at);
  for (const route of routes) {
    const pattern = segments(route.pattern);
    if (pattern.length !== parts.length) continue;
    const params: Params = {};
    const fits = pattern.every((part, i) => {
      if (!part.startsWith(":")) return part === parts[i];
      params[part.slice(1)] = parts[i] as string;
      return true;
    });
    if (fits) return { route, params };
  }
  return null;
}

/** A malformed escape (`%zz`) stays as it is and matches nothing real. */
function segments(at: string): string[] {
  return at.split("/").filter(Boolean).map((part) => {
    try {
      return decodeURIComponent(part);
    } catch {
      return part;
    }
  });
}
