const LONGEST_PAUSE_MS = 30_000;

/**
 * What a server says of something that changes by itself: asked again every `pauseMs` while
 * `goOn` holds and the page is visible; while it does not answer, twice as long after each try.
 * Call it while a component is set up; leaving it ends the asking.
 */
export class Poll<T> {
  value = $state.raw<T | null>(null);
  failure = $state.raw<unknown>(null);
  #ask: () => Promise<T>;
  #pauseMs: number;
  #goOn: (value: T) => boolean;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #turn = 0;
  #failures = 0;
  #ended = false;

  constructor(ask: () => Promise<T>, pauseMs: number, goOn: (value: T) => boolean = () => true) {
    this.#ask = ask;
    this.#pauseMs = pauseMs;
    this.#goOn = goOn;
    const shown = () => (document.hidden ? this.#rest() : void this.now());
    $effect(() => {
      this.#ended = false;
      document.addEventListener("visibilitychange", shown);
      void this.now();
      return () => {
        document.removeEventListener("visibilitychange", shown);
        this.#rest();
        this.#ended = true;
        this.#turn++;
      };
    });
  }

  /** Takes an answer that came another way, such as that of a change just made. */
  take(value: T): void {
    this.#turn++;
    this.#failures = 0;
    this.value = value;
    this.failure = null;
    this.#later();
  }

  now = async (): Promise<void> => {
    if (this.#ended) return;
    this.#rest();
    const turn = ++this.#turn;
    try {
      const value = await this.#ask();
      if (turn !== this.#turn) return;
      this.#failures = 0;
      this.value = value;
      this.failure = null;
    } catch (thrown) {
      if (turn !== this.#turn) return;
      this.#failures++;
      this.failure = thrown;
    }
    this.#later();
  };

  #later(): void {
    this.#rest();
    // A failed request is tried again too: the monitor mends itself when the server is back.
    const wanted = this.value === null ? this.failure !== null : this.#goOn(this.value) || this.failure !== null;
    const pause = Math.min(LONGEST_PAUSE_MS, this.#pauseMs * 2 ** Math.max(0, this.#failures - 1));
    if (wanted && !document.hidden) this.#timer = setTimeout(() => void this.now(), pause);
  }

  #rest(): void {
    clearTimeout(this.#timer);
  }
}
