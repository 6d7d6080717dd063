import { ApiError } from "$lib/api/error";
import { saveDraft } from "$lib/api/labeling";
import type { DraftBody } from "./judgment";

/**
 * Keeps the draft of one claim: on the device at every change, on the server soon after.
 * The device copy is what survives a lost network; the server copy is what survives the device.
 */
const SERVER_DELAY_MS = 800;
const RETRY_MS = 10_000;
const KEEP_DAYS = 14;
const PREFIX = "prefloop.draft.";

export class DraftKeeper {
  /** `device` while the server has not confirmed the latest change. */
  state = $state<"unchanged" | "device" | "saved">("unchanged");
  private timer: ReturnType<typeof setTimeout> | undefined;
  private unsent: DraftBody | null = null;
  private stopped = false;

  constructor(
    private readonly user: number,
    private readonly claim: number,
    private readonly onLost: () => void,
  ) {}

  save(draft: DraftBody): void {
    if (this.stopped) return;
    this.state = "device";
    this.unsent = draft;
    storeOnDevice(this.user, this.claim, draft);
    clearTimeout(this.timer);
    this.timer = setTimeout(() => void this.flush(), SERVER_DELAY_MS);
  }

  /** Sends what the server does not have yet; `keepalive` when the page is being left. */
  async flush(keepalive = false): Promise<void> {
    clearTimeout(this.timer);
    const draft = this.unsent;
    if (!draft || this.stopped) return;
    this.unsent = null;
    try {
      await saveDraft(this.claim, draft, this.user, keepalive);
      if (!this.unsent) this.state = "saved";
    } catch (thrown) {
      this.afterFailure(thrown, draft);
    }
  }

  /** The judgment is on its way: nothing more is saved, and the device copy may go. */
  stop(): void {
    this.stopped = true;
    clearTimeout(this.timer);
  }

  /** The page is being left: one last try, and no more. */
  leave(): void {
    void this.flush(true);
    this.stop();
  }

  /** The page came back. */
  resume(): void {
    this.stopped = false;
  }

  discard(): void {
    this.stop();
    localStorage.removeItem(nameOf(this.user, this.claim));
  }

  private afterFailure(thrown: unknown, draft: DraftBody): void {
    if (!(thrown instanceof ApiError)) throw thrown;
    if (thrown.status === 404) this.onLost();
    else if (!this.stopped) {
      this.unsent ??= draft;
      this.timer = setTimeout(() => void this.flush(), RETRY_MS);
    }
  }
}

/** The newer of the server's and the device's draft. */
export function latestDraft(user: number, claim: number, fromServer: unknown): unknown {
  const onDevice = readFromDevice(user, claim);
  if (!onDevice) return fromServer;
  return savedMs(onDevice) >= savedMs(fromServer) ? onDevice : fromServer;
}

function storeOnDevice(user: number, claim: number, draft: DraftBody): void {
  try {
    localStorage.setItem(nameOf(user, claim), JSON.stringify(draft));
  } catch (thrown) {
    // A full storage: the server's copy still follows, and the indicator shows whether it arrived.
    console.warn("The draft could not be stored on this device.", thrown);
  }
}

/** Drafts of claims that are long gone. */
export function forgetOldDrafts(now = Date.now()): void {
  for (const name of Object.keys(localStorage)) {
    if (!name.startsWith(PREFIX)) continue;
    const age = now - savedMs(parsed(localStorage.getItem(name)));
    if (age > KEEP_DAYS * 86_400_000) localStorage.removeItem(name);
  }
}

const nameOf = (user: number, claim: number): string => `${PREFIX}${user}.${claim}`;
const readFromDevice = (user: number, claim: number): unknown => parsed(localStorage.getItem(nameOf(user, claim)));

function savedMs(draft: unknown): number {
  const value = (draft as { saved_ms?: unknown } | null)?.saved_ms;
  return typeof value === "number" ? value : 0;
}

function parsed(text: string | null): unknown {
  if (text === null) return null;
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
