import { ApiError, messageOf } from "$lib/api/error";
import { dropKeptText, readClaim, takeBack, undoRanking, useKeptText } from "$lib/api/labeling";
import type { Claim, FlagKind, ProjectDetail } from "$lib/api/types";
import { t } from "$lib/catalogue.svelte";
import { toasts } from "$lib/toasts.svelte";
import { uuid } from "$lib/uuid";
import { Claims, type Held } from "./claims.svelte";
import { excerptOf } from "./excerpt";
import type { Errand, Item } from "./outbox/item";
import { outbox } from "./outbox/outbox.svelte";

/** Something done in this tab that can be taken back. */
interface Act {
  kind: "ranking" | "skip" | "flag";
  held: Held;
  stored: Promise<Item>;
  /** The server has it. */
  sent: boolean;
  /** Of a ranking, once the server has it. */
  ranking: number | null;
  /** What offers to take it back. */
  toast: number | null;
}

/** What a labeler does at the workbench of one project: submit, skip, flag, undo. */
export class Desk {
  readonly claims: Claims;
  undoing = $state(false);
  /** Rankings submitted here since the page was opened. */
  doneHere = $state(0);
  private history = $state.raw<Act[]>([]);
  private readonly stopListening: () => void;

  constructor(
    readonly project: ProjectDetail,
    private readonly user: number,
  ) {
    const inOutbox = () => [...outbox.waiting, ...outbox.needingAttention].map((item) => item.claim);
    this.claims = new Claims(project.slug, user, inOutbox);
    this.stopListening = outbox.listen({
      sent: (item, receipt) => {
        const act = this.history.find(({ held, kind }) => held.claim.id === item.claim && kind === item.errand.kind);
        if (act) Object.assign(act, { sent: true, ranking: receipt?.id ?? null });
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
    this.act(held, { kind: "ranking", body });
    this.doneHere += 1;
  }

  skip(reason: string, note: string): void {
    const held = this.claims.current;
    if (held) this.offerUndo(this.act(held, { kind: "skip", key: uuid(), reason, note }), t("label.skipped"));
  }

  flag(flag: FlagKind, note: string): void {
    const held = this.claims.current;
    if (held) this.offerUndo(this.act(held, { kind: "flag", key: uuid(), flag, note }), t("label.flagged"));
  }

  /** Takes an act back, the last one unless another is named: out of the outbox, or from the server. */
  async undo(act = this.history.at(-1)): Promise<void> {
    if (!act || !this.history.includes(act) || this.undoing) return;
    this.undoing = true;
    try {
      const held = await this.takenBack(act);
      this.forget(act);
      if (held) {
        this.claims.putBack(held);
        held.sheet.time.touch(Date.now());
      } else toasts.show(t("label.undo.flagOnly"));
    } catch (thrown) {
      // What the server refuses for good stays done; what was done before it can still be taken back.
      if (thrown instanceof ApiError && thrown.status === 409 && !thrown.retry && thrown.code !== "other_session") this.history = this.history.filter((other) => other !== act);
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

  private act(held: Held, errand: Exclude<Errand, { kind: "revision" }>): Act {
    const act: Act = { kind: errand.kind, held, stored: this.send(held, errand), sent: false, ranking: null, toast: null };
    this.history = [...this.history.slice(-19), act];
    return act;
  }

  private offerUndo(act: Act, text: string): void {
    act.toast = toasts.show(text, { action: { label: t("label.undo"), run: () => void this.undo(act) } });
  }

  /** It is no longer done. */
  private forget(act: Act): void {
    this.history = this.history.filter((other) => other !== act);
    if (act.kind === "ranking") this.doneHere -= 1;
    if (act.toast !== null) toasts.dismiss(act.toast);
  }

  /** The task to put back on the desk; null when others have it by now, and only a flag was withdrawn. */
  private async takenBack(act: Act): Promise<Held | null> {
    const item = await act.stored;
    if (!act.sent && (await outbox.takeOut(item.seq))) {
      // It may have arrived although its answer was lost; taking back what never arrived changes nothing.
      if (act.kind !== "ranking") void takeBack(act.held.claim.id).catch((thrown: unknown) => console.debug("Not reached.", thrown));
      // A new keeper: the old one stopped when the judgment was put into the outbox.
      return this.again(act.held);
    }
    if (act.kind === "ranking") {
      if (act.ranking === null) throw new Error(t("label.undo.notHere"));
      return this.claims.hold((await undoRanking(act.ranking)).claim);
    }
    const { claim } = await takeBack(act.held.claim.id);
    return claim && this.again(act.held, claim);
  }

  /** The same text on the desk once more; `claim` as the server has it by now. */
  private again(held: Held, claim: Claim = { ...held.claim, kept: [...held.kept] }): Held {
    if (!held.sheet.touched) return this.claims.hold(claim);
    return this.claims.hold({ ...claim, draft: { ...held.sheet.draft() } }, held.draft.origin);
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
        this.history.filter((act) => act.held === held).forEach((act) => this.forget(act));
        this.claims.putBack(this.again(held));
      },
    );
    return stored;
  }
}
