import { flagClaim, reviseRanking, skipClaim, submitRanking } from "$lib/api/labeling";
import { messageOf } from "$lib/api/error";
import type { RankingReceipt } from "$lib/api/types";
import { server } from "$lib/server-state.svelte";
import { session } from "$lib/session.svelte";
import { toasts } from "$lib/toasts.svelte";
import { uuid } from "$lib/uuid";
import type { Errand, Item, NewItem } from "./item";
import { drain, type Surroundings } from "./sender";
import { openStore, type Store } from "./store";

/** The outbox of the person who is signed in, as pages see it. One per tab, shared storage. */
type Listener = { sent?: (item: Item, receipt: RankingReceipt | null) => void; refused?: (item: Item) => void };

let items = $state.raw<Item[]>([]);
let problem = $state("");
let lasting = $state(true);
const listeners = new Set<Listener>();
const channel = new BroadcastChannel("prefloop.outbox");
const opened = openStore();
let timer: ReturnType<typeof setTimeout> | undefined;
let draining: Promise<void> | null = null;
let again = false;
let lastJob: Promise<unknown> = Promise.resolve();

export const outbox = {
  get waiting(): Item[] {
    return items.filter((item) => !item.refusal);
  },
  get needingAttention(): Item[] {
    return items.filter((item) => item.refusal);
  },
  /** Why the first item still waits, in words; empty while all goes well. */
  get problem() {
    return problem;
  },
  /** False where the browser gives no lasting storage: then the tab must stay open. */
  get lasting() {
    return lasting;
  },
  /** Resolves when the item is stored for good. */
  async add(item: NewItem): Promise<Item> {
    const whole = await (await opened).add(item);
    await refresh();
    channel.postMessage("changed");
    outbox.sendNow();
    return whole;
  },
  /** Takes an unsent item out. False when it was sent meanwhile (waits for one in flight). */
  async takeOut(seq: number): Promise<boolean> {
    const store = await opened;
    const removed = await exclusively(() => store.remove(seq));
    await refresh();
    channel.postMessage("changed");
    return removed;
  },
  /** An item of the person who is signed in, if it is still there. */
  async find(seq: number): Promise<Item | null> {
    await refresh();
    return items.find((item) => item.seq === seq) ?? null;
  },
  async retry(item: Item, errand: Errand = item.errand): Promise<void> {
    await (await opened).update({ ...item, errand, refusal: null, attempts: 0 });
    await refresh();
    outbox.sendNow();
  },
  /** Sends what the person said as a revision of the ranking that is already there. */
  async replaceEarlier(item: Item): Promise<void> {
    const ranking = item.refusal?.ranking;
    if (!ranking || (item.errand.kind !== "ranking" && item.errand.kind !== "revision")) return;
    await outbox.retry(item, { kind: "revision", ranking, body: { ...item.errand.body, key: uuid() } });
  },
  listen(listener: Listener): () => void {
    listeners.add(listener);
    return () => listeners.delete(listener);
  },
  sendNow() {
    clearTimeout(timer);
    if (draining) {
      again = true;
      return;
    }
    draining = work().finally(() => {
      draining = null;
      if (again) {
        again = false;
        outbox.sendNow();
      }
    });
  },
  /** To be called when somebody is signed in. */
  async start(): Promise<void> {
    await refresh();
    outbox.sendNow();
  },
};

async function work(): Promise<void> {
  const user = session.user?.id;
  if (user === undefined) return;
  try {
    const outcome = await drain(user, surroundings(await opened));
    problem = outcome.done ? "" : messageOf(outcome.why);
    if (!outcome.done && outcome.why.unreachable) void server.check(); // to say so, and to notice its return
    if (!outcome.done && !outcome.why.signedOut && !outcome.why.otherSession) timer = setTimeout(() => outbox.sendNow(), outcome.waitMs);
  } catch (thrown) {
    // Only the browser's own storage can fail here; the server's refusals are kept with the item.
    toasts.failed(thrown);
    timer = setTimeout(() => outbox.sendNow(), 5_000);
  }
  await refresh();
}

function surroundings(store: Store): Surroundings {
  return {
    store,
    send,
    exclusively,
    onSent: (item, receipt) => {
      listeners.forEach((listener) => listener.sent?.(item, receipt));
      channel.postMessage({ item, receipt });
    },
    onRefused: (item) => listeners.forEach((listener) => listener.refused?.(item)),
    onChange: () => {
      void refresh();
      channel.postMessage("changed");
    },
  };
}

async function send({ user, claim, errand }: Item): Promise<RankingReceipt | null> {
  switch (errand.kind) {
    case "ranking":
      return await submitRanking(claim, errand.body, user);
    case "revision":
      return await reviseRanking(errand.ranking, errand.body, user);
    case "skip":
      await skipClaim(claim, errand.key, errand.reason, errand.note, user);
      return null;
    case "flag":
      await flagClaim(claim, errand.key, errand.flag, errand.note, user);
      return null;
  }
}

/** One tab sends at a time. Without locks (plain HTTP) that holds within this tab only, and the key prevents doubles. */
function exclusively<T>(job: () => Promise<T>): Promise<T> {
  // The lock's own result type would be a promise of a promise.
  const mine = lastJob.then(async () => (navigator.locks ? ((await navigator.locks.request("prefloop.outbox", job)) as T) : job()));
  lastJob = mine.catch(() => undefined);
  return mine;
}

async function refresh(): Promise<void> {
  const store = await opened;
  lasting = store.lasting;
  const user = session.user?.id;
  items = user === undefined ? [] : await store.all(user);
}

channel.addEventListener("message", ({ data }: MessageEvent<"changed" | { item: Item; receipt: RankingReceipt | null }>) => {
  if (data === "changed") void refresh();
  else listeners.forEach((listener) => listener.sent?.(data.item, data.receipt));
});
addEventListener("online", () => outbox.sendNow());
addEventListener("beforeunload", (event) => {
  if (!lasting && items.length) event.preventDefault();
});
