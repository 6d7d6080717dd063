import { ApiError } from "$lib/api/error";
import type { RankingReceipt } from "$lib/api/types";
import type { Item } from "./item";
import type { Store } from "./store";

/**
 * Sends what waits, one at a time and in order. A request whose answer was lost is sent again
 * with the same idempotency key, so the server counts it once.
 */
export interface Surroundings {
  store: Store;
  send: (item: Item) => Promise<RankingReceipt | null>;
  /** Runs `work` while no other tab does. */
  exclusively: <T>(work: () => Promise<T>) => Promise<T>;
  onSent: (item: Item, receipt: RankingReceipt | null) => void;
  onRefused: (item: Item) => void;
  onChange: () => void;
}

export type Outcome = { done: true } | { done: false; waitMs: number; why: ApiError };

/** A server that fails on one item again and again would hold up all that follow it. */
const SERVER_FAILURES_BEFORE_ASKING = 8;
const MAX_WAIT_MS = 30_000;

/** Works through the queue of one person until it is empty or the server cannot take more. */
export function drain(user: number, around: Surroundings): Promise<Outcome> {
  return around.exclusively(async () => {
    for (;;) {
      const item = (await around.store.all(user)).find((candidate) => !candidate.refusal);
      if (!item) return { done: true };
      const problem = await attempt(item, around);
      if (problem) return { done: false, waitMs: waitAfter(item.attempts + 1, problem), why: problem };
    }
  });
}

/** Null when the item is dealt with (sent, or refused for good); else why it has to wait. */
async function attempt(item: Item, around: Surroundings): Promise<ApiError | null> {
  try {
    const receipt = await around.send(item);
    await around.store.remove(item.seq);
    around.onSent(item, receipt);
  } catch (thrown) {
    if (!(thrown instanceof ApiError)) throw thrown;
    const tried = { ...item, attempts: item.attempts + 1 };
    if (mayHelpToWait(thrown, tried.attempts)) {
      await around.store.update(tried);
      around.onChange();
      return thrown;
    }
    const refused = { ...tried, refusal: { code: thrown.code, message: thrown.message, ranking: rankingIn(thrown) } };
    await around.store.update(refused);
    around.onRefused(refused);
  }
  around.onChange();
  return null;
}

function mayHelpToWait(error: ApiError, attempts: number): boolean {
  if (error.unreachable || error.signedOut || error.otherSession || error.status === 429) return true;
  if (error.status === 500) return attempts < SERVER_FAILURES_BEFORE_ASKING;
  return error.status > 500 || error.retry;
}

/** 1 s, 2 s, 4 s … 30 s, a little scattered, or what the server asks for. */
export function waitAfter(attempts: number, error: ApiError, random = Math.random()): number {
  if (error.retryAfterSeconds) return error.retryAfterSeconds * 1000;
  return Math.min(MAX_WAIT_MS, 1000 * 2 ** (attempts - 1)) * (0.75 + random / 2);
}

function rankingIn(error: ApiError): number | null {
  return typeof error.detail.ranking === "number" ? error.detail.ranking : null;
}
