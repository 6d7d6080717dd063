import { messageOf } from "$lib/api/error";
import { dropKeptText, readClaim, undoRanking, useKeptText } from "$lib/api/labeling";
import type { Claim, FlagKind, ProjectDetail } from "$lib/api/types";
import { t } from "$lib/catalogue.svelte";
import { toasts } from "$lib/toasts.svelte";
import { uuid } from "$lib/uuid";
import { Claims, type Held } from "./claims.svelte";
import { excerptOf } from "./excerpt";
import type { Errand, Item } from "./outbox/item";
import { outbox } from "./outbox/outbox.svelte";

/** A submit of this tab that can be undone. */
interface Submitted {
  held: Held;
  stored: Promise<Item>;
  /** Known once the server has it. */
  ranking: number | null;
}

/** What a labeler does at the workbench of one project: submit, skip, flag, undo. */
export class Desk {
  readonly claims: Claims;
  undoing = $state(false);
  /** Rankings submitted here since the page was opened. */
  doneHere = $state(0);
  private history = $state.raw<Submitted[]>([]);
  private readonly stopListening: () => void;

  constructor(
    readonly project: ProjectDetail,
    private readonly user: number,
  ) {
    const inOutbox = () => [...outbox.waiting, ...outbox.needingAttention].map((item) => item.claim);
    this.claims = new Claims(project.slug, user, inOutbox);
    this.stopListening = outbox.listen({
      sent: (item, receipt) => {
        const entry = this.history.find(({ held }) => held.claim.id === item.claim);
        if (entry && receipt) entry.ranking = receipt.id;
        if (receipt && !receipt.counted) toasts.show(t("label.sent.extra"));
        void this.claims.fill();
      },
    });
  }

  get canUndo(): boolean {
    return this.history.length > 0 && !this.undoing;
  }

  submit(): void {
    const held = this.claims.current;
    if (!held || held.sheet.missing) return;
    const { base, writer } = held.draft.origin;
    const body = { key: uuid(), ...held.sheet.judgment(), draft: { base, writer } };
    const stored = this.send(held, { kind: "ranking", body });
    this.history = [...this.history.slice(-19), { held, stored, ranking: null }];
    this.doneHere += 1;
  }

  skip(reason: string, note: string): void {
    const held = this.claims.current;
    if (held) void this.send(held, { kind: "skip", key: uuid(), reason, note });
  }

  flag(flag: FlagKind, note: string): void {
    const held = this.claims.current;
    if (held) void this.send(held, { kind: "flag", key: uuid(), flag, note });
  }

  /** Takes the last submit back: out of the outbox, or from the server when it is there already. */
  async undo(): Promise<void> {
    const last = this.history.at(-1);
    if (!last || this.undoing) return;
    this.undoing = true;
    try {
      const held = await this.takenBack(last);
      this.history = this.history.filter((entry) => entry !== last);
      this.doneHere -= 1;
      this.claims.putBack(held);
      held.sheet.time.touch(Date.now());
    } catch (thrown) {
      toasts.failed(thrown);
    } finally {
      this.undoing = false;
    }
  }

  /** The newest text that the server has; what is on the page is kept beside it. */
  showNewest(held: Held): Promise<void> {
    return this.change(held, () => readClaim(held.claim.id));
  }

  /** A text that was kept becomes the newest; what is on the page is kept in its place. */
  useKept(held: Held, kept: number): Promise<void> {
    return this.change(held, () => useKeptText(held.claim.id, kept));
  }

  async dropKept(held: Held, kept: number): Promise<void> {
    try {
      await dropKeptText(held.claim.id, kept);
      held.kept = held.kept.filter(({ id }) => id !== kept);
    } catch (thrown) {
      toasts.failed(thrown);
    }
  }

  private async change(held: Held, to: () => Promise<Claim>): Promise<void> {
    try {
      await held.draft.flush();
      // Typed in this very moment, or the server was not reached: nothing is taken off the page.
      if (held.draft.state === "device") throw new Error(t("label.kept.notYet"));
      this.claims.show(held, await to());
    } catch (thrown) {
      toasts.failed(thrown);
    }
  }

  leave(): void {
    this.claims.leave();
    this.stopListening();
  }

  private async takenBack(last: Submitted): Promise<Held> {
    const item = await last.stored;
    if (last.ranking === null && (await outbox.takeOut(item.seq))) {
      // A new keeper: the old one stopped when the judgment was put into the outbox.
      return this.again(last.held);
    }
    if (last.ranking === null) throw new Error(t("label.undo.notHere"));
    const { claim } = await undoRanking(last.ranking);
    return this.claims.hold(claim);
  }

  /** The same text on the desk once more. */
  private again(held: Held): Held {
    return this.claims.hold({ ...held.claim, draft: { ...held.sheet.draft() }, kept: [...held.kept] }, held.draft.origin);
  }

  /** Paints the next task first; the outbox stores and sends in the background. */
  private send(held: Held, errand: Errand): Promise<Item> {
    held.draft.stop();
    this.claims.advance();
    const stored = outbox.add({
      user: this.user,
      project: this.project.slug,
      claim: held.claim.id,
      errand,
      excerpt: excerptOf(held.claim.prompt),
      created_at: new Date().toISOString(),
    });
    stored.then(
      () => {
        held.draft.discard();
        void this.claims.fill();
      },
      (thrown: unknown) => {
        // The browser's storage failed: the judgment goes back on the desk instead of being lost.
        toasts.show(t("label.storageFailed", { why: messageOf(thrown) }), { tone: "bad" });
        this.history = this.history.filter((entry) => entry.held !== held);
        this.claims.putBack(this.again(held));
      },
    );
    return stored;
  }
}
