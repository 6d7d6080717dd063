import { ApiError } from "$lib/api/error";
import { claimNext, readClaim, releaseClaim, renewClaim } from "$lib/api/labeling";
import type { Claim, KeptText, Reason } from "$lib/api/types";
import type { Origin } from "./device-copies";
import { DraftKeeper, sendAside, startOf } from "./drafts.svelte";
import { Sheet } from "./sheet.svelte";
import { heldInAnyTab, holdInThisTab, letGo } from "./tab-locks";

/** A claimed task on the desk: its sheet, its draft, and whether the claim still holds. */
export class Held {
  lost = $state(false);
  /** Texts made from older versions of the draft, on this device or another, which nothing overwrote. */
  kept = $state.raw<readonly KeptText[]>([]);
  readonly sheet: Sheet;
  readonly draft: DraftKeeper;

  constructor(
    readonly claim: Claim,
    user: number,
    /** Of a text that was on this page before: it goes on, whatever the device and the server have. */
    origin: Origin | null = null,
  ) {
    const start = origin ? { draft: claim.draft, origin, unsent: true } : startOf(user, claim);
    this.sheet = new Sheet(claim.prompt, claim.responses, claim.judging, start.draft, claim.alike);
    this.draft = new DraftKeeper(user, claim.id, start.origin, () => (this.lost = true));
    this.sheet.onchange = () => this.draft.save(this.sheet.draft());
    if (start.unsent) this.draft.save(this.sheet.draft());
    this.kept = claim.kept;
    void this.keepAside(user);
    void this.sheet.prepare();
  }

  private async keepAside(user: number): Promise<void> {
    try {
      if (await sendAside(user, this.claim.id)) this.kept = (await readClaim(this.claim.id)).kept;
    } catch (thrown) {
      // It stays on the device, and is sent when the task is opened again.
      console.warn("An older draft could not be sent.", thrown);
    }
  }
}

/**
 * The claims of one labeler in one project: the current task and the one after it, fetched ahead.
 * Asks again every few seconds while the queue is empty, so new tasks appear by themselves.
 */
const AHEAD = 1;
const POLL_EMPTY_MS = 4_000;
const POLL_AHEAD_MS = 15_000;

export class Claims {
  current = $state.raw<Held | null>(null);
  /** Why there is no next task. */
  reason = $state.raw<Reason | null>(null);
  failure = $state.raw<ApiError | null>(null);
  private upcoming: Held[] = [];
  /** Claims that are done here, though the server may not know yet. */
  private readonly done = new Set<number>();
  private filling = false;
  private stopped = false;
  private pollTimer: ReturnType<typeof setTimeout> | undefined;
  private renewTimer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly slug: string,
    private readonly user: number,
    /** Claims of judgments that wait in the outbox. */
    private readonly inOutbox: () => number[],
  ) {}

  /** Fills up to the current task and the next ones; safe to call at any time. */
  async fill(): Promise<void> {
    if (this.filling || this.stopped) return;
    clearTimeout(this.pollTimer);
    this.filling = true;
    try {
      while (!this.stopped && this.hasRoom) {
        const { claim, reason } = await claimNext(this.slug, await this.have());
        this.failure = null;
        this.reason = claim ? null : reason;
        if (!claim) break;
        if (!this.take(claim)) break;
      }
    } catch (thrown) {
      if (!(thrown instanceof ApiError)) throw thrown;
      this.failure = thrown;
    } finally {
      this.filling = false;
      this.pollLater();
    }
  }

  /** The next task becomes the current one, at once. */
  advance(): Held | null {
    const before = this.current;
    if (before) {
      this.done.add(before.claim.id);
      letGo(before.claim.id);
    }
    this.current = this.upcoming.shift() ?? null;
    this.current?.sheet.time.touch(Date.now());
    return before;
  }

  /** Back on top of the desk (after an undo); what was current comes right after it. */
  putBack(held: Held): void {
    this.done.delete(held.claim.id);
    this.upcoming = this.upcoming.filter((other) => other.claim.id !== held.claim.id);
    if (this.current && this.current.claim.id !== held.claim.id) this.upcoming.unshift(this.current);
    holdInThisTab(held.claim.id);
    this.current = held;
  }

  hold(claim: Claim, origin: Origin | null = null): Held {
    holdInThisTab(claim.id);
    return new Held(claim, this.user, origin);
  }

  /** Another text takes the place of the one on the page, which the server has. */
  show(held: Held, claim: Claim): void {
    held.draft.discard();
    const other = this.hold(claim);
    if (this.current === held) this.current = other;
  }

  /** Renews what is held three times a lease, as long as somebody works. */
  renewWhileWorking(leaseSeconds: number): void {
    const everyMs = Math.max(5_000, (leaseSeconds * 1000) / 3);
    clearTimeout(this.renewTimer);
    this.renewTimer = setTimeout(() => {
      const working = !document.hidden && this.current?.sheet.time.isActive(Date.now(), everyMs);
      if (working) for (const held of this.all) void this.renew(held);
      this.renewWhileWorking(leaseSeconds);
    }, everyMs);
  }

  /** Leaves the desk: untouched tasks go back to the queue, drafts are saved and keep their claim. */
  leave(): void {
    this.stop();
    for (const held of this.all) {
      letGo(held.claim.id);
      if (held.sheet.touched) held.draft.leave();
      else if (!held.lost) void releaseClaim(held.claim.id).catch(ignoreWhileLeaving);
    }
    this.current = this.current?.sheet.touched ? this.current : null;
    this.upcoming = this.upcoming.filter((held) => held.sheet.touched);
  }

  /** The browser showed a kept page again ("back"). */
  resume(leaseSeconds: number): void {
    this.stopped = false;
    this.renewWhileWorking(leaseSeconds);
    for (const held of this.all) {
      holdInThisTab(held.claim.id);
      held.draft.resume();
    }
    void this.fill();
  }

  private get all(): Held[] {
    return this.current ? [this.current, ...this.upcoming] : this.upcoming;
  }

  private get hasRoom(): boolean {
    return !this.current || this.upcoming.length < AHEAD;
  }

  private stop(): void {
    this.stopped = true;
    clearTimeout(this.pollTimer);
    clearTimeout(this.renewTimer);
  }

  private async have(): Promise<number[]> {
    const elsewhere = await heldInAnyTab();
    return [...new Set([...this.all.map((held) => held.claim.id), ...this.inOutbox(), ...elsewhere])];
  }

  /** False when the answer is of no use (a race with a submit): the next poll asks again. */
  private take(claim: Claim): boolean {
    if (this.done.has(claim.id) || this.all.some((held) => held.claim.id === claim.id)) return false;
    if (this.stopped) {
      void releaseClaim(claim.id).catch(ignoreWhileLeaving);
      return false;
    }
    const held = this.hold(claim);
    if (this.current) this.upcoming.push(held);
    else {
      this.current = held;
      held.sheet.time.touch(Date.now());
    }
    return true;
  }

  private pollLater(): void {
    if (this.stopped || !this.hasRoom) return;
    clearTimeout(this.pollTimer);
    const waitMs = document.hidden ? POLL_AHEAD_MS : this.current ? POLL_AHEAD_MS : POLL_EMPTY_MS;
    this.pollTimer = setTimeout(() => void this.fill(), waitMs);
  }

  private async renew(held: Held): Promise<void> {
    if (held.lost) return;
    try {
      await renewClaim(held.claim.id);
    } catch (thrown) {
      if (!(thrown instanceof ApiError)) throw thrown;
      // Offline, overloaded, in another's session: the next turn tries again, and a late ranking is kept anyway.
      if (thrown.code === "claim_lost" || thrown.status === 404) this.lose(held);
    }
  }

  private lose(held: Held): void {
    held.lost = true;
    if (held === this.current && held.sheet.touched) return;
    letGo(held.claim.id);
    this.upcoming = this.upcoming.filter((other) => other !== held);
    if (held === this.current) this.current = this.upcoming.shift() ?? null;
    void this.fill();
  }
}

/** Nobody is there to read it any more; a claim that was not given back ends with its lease. */
function ignoreWhileLeaving(thrown: unknown): void {
  console.debug("A claim could not be given back; it ends with its lease.", thrown);
}
