import { ApiError } from "$lib/api/error";
import { saveDraft } from "$lib/api/labeling";
import type { Claim, SavedDraft } from "$lib/api/types";
import { uuid } from "$lib/uuid";
import { copiesAside, putAside, readCopy, removeAside, removeCopy, writeCopy, type DeviceCopy, type Origin } from "./device-copies";
import type { DraftBody } from "./judgment";

/**
 * Keeps the draft of one claim: on the device at every change, on the server soon after.
 * The device copy is what survives a lost network; the server copy is what survives the device.
 * Which of two texts is the newer is the server's to say: no clock of a device decides.
 */
const SERVER_DELAY_MS = 800;
const RETRY_MS = 10_000;

export class DraftKeeper {
  /** `device` while the server has not confirmed the latest change, `beside` when it has a newer text than this page. */
  state = $state<"unchanged" | "device" | "saved" | "beside">("unchanged");
  /** The id under which the server keeps this page's text beside the newer one. */
  kept = $state<number | null>(null);
  private timer: ReturnType<typeof setTimeout> | undefined;
  private unsent: DraftBody | null = null;
  private stopped = false;
  private discarded = false;

  constructor(
    private readonly user: number,
    private readonly claim: number,
    private at: Origin,
    private readonly onLost: () => void,
  ) {}

  /** What the text on the page was made from, as it is sent with what follows from it. */
  get origin(): Origin {
    return { ...this.at };
  }

  save(draft: DraftBody): void {
    if (this.stopped) return;
    this.state = "device";
    this.unsent = draft;
    this.at = { ...this.at, step: this.at.step + 1 };
    writeCopy(this.user, this.claim, { ...this.at, draft, sent: false });
    clearTimeout(this.timer);
    this.timer = setTimeout(() => void this.flush(), SERVER_DELAY_MS);
  }

  /** Sends what the server does not have yet; `keepalive` when the page is being left. */
  async flush(keepalive = false): Promise<void> {
    clearTimeout(this.timer);
    const draft = this.unsent;
    if (!draft || this.stopped) return;
    this.unsent = null;
    const { step } = this.at;
    try {
      // Requests may overtake each other: the server goes by the step.
      this.arrived(step, draft, await saveDraft(this.claim, { body: draft, ...this.at }, this.user, keepalive));
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
    this.discarded = true;
    removeCopy(this.user, this.claim);
  }

  private arrived(step: number, draft: DraftBody, saved: SavedDraft): void {
    if (this.discarded) return;
    // Beside a newer text, this page's is still made from the older one.
    if (saved.kept === null) this.at = { ...this.at, base: Math.max(this.at.base, saved.version) };
    this.kept = saved.kept;
    if (step !== this.at.step) return;
    this.state = saved.kept === null ? "saved" : "beside";
    writeCopy(this.user, this.claim, { ...this.at, draft, sent: true });
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

export interface Start {
  draft: unknown;
  origin: Origin;
  /** Whether the server does not have this text yet. */
  unsent: boolean;
}

/**
 * The text that a claim's page begins with: the server's, unless this device has changes of it that
 * were never sent. Changes of an older text than the server's are put aside, for `sendAside`.
 */
export function startOf(user: number, { id, draft, draft_at: at }: Pick<Claim, "id" | "draft" | "draft_at">): Start {
  const fromServer: Start = { draft, origin: { base: at?.version ?? 0, writer: uuid(), step: 0 }, unsent: false };
  const copy = readCopy(user, id);
  if (!copy || copy.sent) return fromServer;
  const mine = at?.writer === copy.writer;
  if (at && mine && at.step >= copy.step) return fromServer; // It arrived, only the answer was lost.
  if (!at || mine || at.version === copy.base) return { draft: copy.draft, origin: originOf(copy), unsent: true };
  putAside(user, id, copy);
  return fromServer;
}

/** Sends what was put aside, so that the server keeps it beside the newer text. True when there was anything. */
export async function sendAside(user: number, claim: number): Promise<boolean> {
  const copies = copiesAside(user, claim);
  for (const copy of copies) {
    await saveDraft(claim, { body: copy.draft, ...originOf(copy) }, user);
    removeAside(user, claim, copy.writer);
  }
  return copies.length > 0;
}

const originOf = ({ base, writer, step }: DeviceCopy): Origin => ({ base, writer, step });
