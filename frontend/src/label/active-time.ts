/** A pause longer than this is not work: only its first part counts. */
const IDLE_AFTER_MS = 30_000;

/** Time in which someone worked: the page visible and something done not long ago. */
export class ActiveTime {
  private total = 0;
  private last: number | null = null;

  constructor(before = 0) {
    this.total = before;
  }

  /** Something happened (a key, a pointer, a scroll), or the page was shown. */
  touch(now: number): void {
    if (this.last !== null) this.total += Math.min(now - this.last, IDLE_AFTER_MS);
    this.last = now;
  }

  /** The page was hidden. */
  pause(now: number): void {
    if (this.last !== null) this.touch(now);
    this.last = null;
  }

  read(now: number): number {
    return this.total + (this.last === null ? 0 : Math.min(now - this.last, IDLE_AFTER_MS));
  }

  /** Whether anything was done (on a visible page) within the last `withinMs`. */
  isActive(now: number, withinMs: number): boolean {
    return this.last !== null && now - this.last <= withinMs;
  }
}
