import { get } from "./api/client";
import { ApiError } from "./api/error";
import type { Health } from "./api/types";

/** What GET /api/health said last; polled more often while something is not ready. */
let health = $state.raw<Health | null>(null);
let reached = $state(true);
let online = $state(navigator.onLine);
let timer: ReturnType<typeof setTimeout> | undefined;

export type ServerState = "ready" | "loading" | "down" | "failing" | "unreachable" | "offline";

export const server = {
  get health() {
    return health;
  },
  get state(): ServerState {
    if (!online) return "offline";
    if (!reached) return "unreachable";
    return health?.inference.state ?? "ready";
  },
  /** Whether it answered when it was asked last. */
  get reached(): boolean {
    return online && reached;
  },
  async check() {
    clearTimeout(timer);
    try {
      health = await get<Health>("/api/health", {}, { timeoutMs: 8_000 });
      reached = true;
    } catch (thrown) {
      reached = thrown instanceof ApiError && !thrown.unreachable && thrown.status < 502;
    }
    const pause = document.hidden ? 60_000 : server.state === "ready" ? 20_000 : 3_000;
    timer = setTimeout(() => void server.check(), pause);
  },
  watch() {
    const connection = () => {
      online = navigator.onLine;
      void server.check();
    };
    addEventListener("online", connection);
    addEventListener("offline", connection);
    document.addEventListener("visibilitychange", () => !document.hidden && void server.check());
    void server.check();
  },
};
