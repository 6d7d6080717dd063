import { get } from "./api/client";
import { ApiError } from "./api/error";
import type { Decision } from "./api/types";

/** What waits for me to approve or reject it, in all my projects; asked for while a page watches. */
const EVERY_MS = 20_000;
let waiting = $state.raw<readonly Decision[]>([]);

export const decisions = {
  get all() {
    return waiting;
  },
  in: (slug: string): Decision | null => waiting.find(({ project }) => project.slug === slug) ?? null,
  async refresh() {
    try {
      waiting = (await get<{ results: Decision[] }>("/api/decisions")).results;
    } catch (thrown) {
      // It only points somewhere: what was known stays, unless it was another person's.
      if (thrown instanceof ApiError && thrown.signedOut) waiting = [];
    }
  },
  /** Asks now and again; what it returns ends that. */
  watch() {
    void decisions.refresh();
    const timer = setInterval(() => !document.hidden && void decisions.refresh(), EVERY_MS);
    return () => clearInterval(timer);
  },
};
