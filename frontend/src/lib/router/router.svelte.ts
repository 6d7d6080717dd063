import type { Component } from "svelte";

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
const leaving = new Set<() => boolean>();

export const router = {
  get path() {
    return path;
  },
  get query(): URLSearchParams {
    return new URLSearchParams(search);
  },
  /** Moves to a path of this site ("/projects/x?tab=1"). */
  go(to: string, { replace = false } = {}) {
    const next = new URL(to, location.href);
    if (next.href !== location.href) {
      if ([...leaving].some((mayLeave) => !mayLeave())) return;
      history[replace ? "replaceState" : "pushState"](null, "", next);
    }
    sync();
    if (!replace) scrollTo(0, 0);
  },
  /** Changes query parameters in place; null removes one. */
  setQuery(changes: Record<string, string | number | null>) {
    const next = router.query;
    for (const [key, value] of Object.entries(changes)) {
      if (value === null || value === "") next.delete(key);
      else next.set(key, String(value));
    }
    const text = next.toString();
    history.replaceState(null, "", text ? `${path}?${text}` : path);
    sync();
  },
  /** Asks `mayLeave` before the page changes; returns the function that stops asking. */
  guard(mayLeave: () => boolean): () => void {
    leaving.add(mayLeave);
    return () => leaving.delete(mayLeave);
  },
  start() {
    addEventListener("popstate", sync);
    document.addEventListener("click", followLink);
  },
};

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
