import type { Judging, PromptContent, ResponseText } from "$lib/api/types";
import { render } from "$lib/markdown/render";
import { ActiveTime } from "./active-time";
import { draftOf, formFrom, isTouched, judgmentOf, missingFrom, type DraftBody, type Form } from "./judgment";
import type { Command } from "./keys";
import { boundary, isUnacceptable, reduce, tierOf, type Action, type Label } from "./ranking";

/** A field for words: the reason of a response, the rationale, the better answer. */
export type WordField = `reason-${Label}` | "rationale" | "answer";

/** One task with the form being filled in: what the workbench and the edit page show. */
export class Sheet {
  form: Form = $state.raw({} as Form);
  readonly labels: readonly Label[];
  readonly time: ActiveTime;
  /** The field in which the next words belong, because it was opened or is missing; it takes the focus. */
  asking: WordField | null = $state(null);
  /** Called after every change by the person. */
  onchange: () => void = () => undefined;

  constructor(
    readonly prompt: PromptContent,
    readonly responses: readonly ResponseText[],
    readonly judging: Judging,
    draft: unknown,
    /** Responses that are the same answer: the server ties them, wherever they are placed. */
    readonly alike: readonly (readonly Label[])[] = [],
  ) {
    this.labels = responses.map((response) => response.label);
    this.form = formFrom(draft, this.labels, judging);
    this.time = new ActiveTime(activeMsIn(draft));
  }

  get ranking() {
    return this.form.ranking;
  }

  get missing() {
    return missingFrom(this.form, this.judging);
  }

  get touched() {
    return isTouched(this.form);
  }

  judgment() {
    return judgmentOf(this.form, this.judging, this.time.read(Date.now()));
  }

  draft(): DraftBody {
    return draftOf(this.form, this.judging, this.time.read(Date.now()));
  }

  /** Renders all texts ahead, so that showing the sheet is only a copy of finished nodes. */
  async prepare(): Promise<void> {
    const texts = [...this.prompt.messages.map((message) => message.content), ...this.responses.map((r) => r.text)];
    await Promise.all(texts.map(render));
  }

  rank(action: Action): void {
    const ranking = reduce(this.form.ranking, action);
    if (ranking === this.form.ranking) return;
    const marked = this.labels.find((label) => isUnacceptable(ranking, label) && !isUnacceptable(this.form.ranking, label));
    if (marked !== undefined) this.asking = `reason-${marked}`;
    const moved = ranking.tiers !== this.form.ranking.tiers || ranking.unacceptable !== this.form.ranking.unacceptable;
    this.form = { ...this.form, ranking };
    if (moved) this.onchange();
  }

  /** A key that says something of the responses; others are the page's. */
  obey(command: Command): void {
    if (command.do === "place") this.rank({ type: "place", label: command.label });
    else if (command.do === "tie") this.rank({ type: "tie" });
    else if (command.do === "takeBack") this.rank({ type: "takeBack" });
    else if (command.do === "unacceptable") this.rank({ type: "toggleUnacceptable" });
    else if (command.do === "focus") this.rank({ type: "focusNext", step: command.step });
    else if (command.do === "nudge") this.rank({ type: "nudge", step: command.step });
    else if (command.do === "strength") this.setStrengthAtFocus(command.value);
  }

  setStrength(upper: readonly Label[], lower: readonly Label[], value: number | null): void {
    const name = boundary(upper, lower);
    const { [name]: _before, ...others } = this.form.strengths;
    this.change({ strengths: value === null ? others : { ...others, [name]: value } });
  }

  /** Strength of the boundary above the response in hand (or below, for the best one). */
  setStrengthAtFocus(value: number | null): void {
    const { tiers, focused, placed } = this.ranking;
    const label = focused ?? placed.at(-1);
    const at = label === undefined ? null : tierOf(this.ranking, label);
    if (at === null || tiers.length < 2) return;
    const lower = Math.max(at, 1);
    this.setStrength(tiers[lower - 1] ?? [], tiers[lower] ?? [], value);
  }

  rate(axis: string, label: Label, value: number | null): void {
    const { [label]: _before, ...others } = this.form.ratings[axis] ?? {};
    this.change({ ratings: { ...this.form.ratings, [axis]: value === null ? others : { ...others, [label]: value } } });
  }

  toggleTag(tag: string): void {
    const tags = this.form.tags.includes(tag) ? this.form.tags.filter((other) => other !== tag) : [...this.form.tags, tag];
    this.change({ tags });
  }

  setRationale(rationale: string): void {
    this.change({ rationale });
  }

  setDemonstration(demonstration: Form["demonstration"]): void {
    if (demonstration && !this.form.demonstration) this.asking = "answer";
    this.change({ demonstration });
  }

  /** Puts the focus where something is missing that is said in words; true when there is such a field. */
  askForMissing(): boolean {
    const kind = this.missing?.kind;
    if (kind === "rationale") this.asking = "rationale";
    else if (kind === "demonstration") this.asking = "answer";
    else return false;
    return true;
  }

  private change(part: Partial<Form>): void {
    this.form = { ...this.form, ...part };
    this.onchange();
  }
}

function activeMsIn(draft: unknown): number {
  const value = (draft as { active_ms?: unknown } | null)?.active_ms;
  return typeof value === "number" && value >= 0 ? value : 0;
}
