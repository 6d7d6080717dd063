import type { Judging, Judgment } from "$lib/api/types";
import { boundary, isComplete, isUnacceptable, startRanking, unranked, type Label, type Ranking } from "./ranking";

/** Everything a labeler says about one task, as the form holds it. */
export interface Form {
  ranking: Ranking;
  /** Strength by boundary (see `boundary`): how clearly the upper tier is better. */
  strengths: Readonly<Record<string, number>>;
  /** Axis key → label → rating. */
  ratings: Readonly<Record<string, Readonly<Record<Label, number>>>>;
  tags: readonly string[];
  rationale: string;
  demonstration: { text: string; from: Label | null } | null;
}

/** What is stored while working: the submit shape, with the responses that are placed so far. */
export interface DraftBody extends Judgment {
  placed: Label[];
}

export type Missing = { kind: "unranked"; labels: Label[] } | { kind: "rationale" } | { kind: "demonstration" };

export function startForm(labels: readonly Label[], judging: Judging): Form {
  return {
    ranking: startRanking(labels, judging.ties_allowed),
    strengths: {},
    ratings: {},
    tags: [],
    rationale: "",
    demonstration: null,
  };
}

/** What keeps the form from being submitted, the most important first. */
export function missingFrom(form: Form, judging: Judging): Missing | null {
  if (!isComplete(form.ranking)) return { kind: "unranked", labels: unranked(form.ranking) };
  if (judging.rationale === "required" && !form.rationale.trim()) return { kind: "rationale" };
  if (form.demonstration && !form.demonstration.text.trim()) return { kind: "demonstration" };
  return null;
}

export function isTouched(form: Form): boolean {
  const { ranking, strengths, ratings, tags, rationale, demonstration } = form;
  return Boolean(
    ranking.tiers.length || Object.keys(strengths).length || Object.keys(ratings).length ||
      tags.length || rationale || demonstration,
  );
}

export function judgmentOf(form: Form, judging: Judging, activeMs: number): Judgment {
  const { ranking } = form;
  return {
    tiers: ranking.tiers.map((tier) => [...tier]),
    unacceptable: ranking.tiers
      .flat()
      .filter((label) => isUnacceptable(ranking, label))
      .map((label) => ({ label, reason: (ranking.unacceptable[label] ?? "").trim() })),
    strengths: judging.strength ? strengthsOf(form) : [],
    ratings: Object.fromEntries(Object.entries(form.ratings).filter(([, byLabel]) => Object.keys(byLabel).length)),
    tags: [...form.tags],
    rationale: form.rationale.trim(),
    active_ms: Math.round(activeMs),
    demonstration: form.demonstration && { ...form.demonstration, text: form.demonstration.text.trim() },
  };
}

/** One entry for each pair of neighbouring tiers, null where nothing was said. */
export function strengthsOf({ ranking, strengths }: Form): (number | null)[] {
  return ranking.tiers.slice(1).map((lower, i) => strengths[boundary(ranking.tiers[i] ?? [], lower)] ?? null);
}

export function draftOf(form: Form, judging: Judging, activeMs: number): DraftBody {
  return {
    ...judgmentOf(form, judging, activeMs),
    // A text being typed keeps its spaces; only a submit trims.
    rationale: form.rationale,
    demonstration: form.demonstration && { ...form.demonstration },
    placed: [...form.ranking.placed],
  };
}

/**
 * The form that a draft describes. A draft is any JSON that this or another device stored
 * (perhaps an older version): what does not fit the task is left out, never guessed.
 */
export function formFrom(draft: unknown, labels: readonly Label[], judging: Judging): Form {
  const form = startForm(labels, judging);
  if (!isRecord(draft)) return form;
  const known = (label: unknown): label is Label => typeof label === "string" && labels.includes(label);
  const ranking = rankingFrom(draft, form.ranking, known);
  return {
    ranking,
    strengths: strengthsFrom(draft.strengths, ranking),
    ratings: ratingsFrom(draft.ratings, judging, known),
    tags: list(draft.tags).filter((tag): tag is string => typeof tag === "string" && judging.tags.includes(tag)),
    rationale: typeof draft.rationale === "string" ? draft.rationale : "",
    demonstration: demonstrationFrom(draft.demonstration, known),
  };
}

type Known = (label: unknown) => label is Label;
const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);
const list = (value: unknown): unknown[] => (Array.isArray(value) ? value : []);

function rankingFrom(draft: Record<string, unknown>, empty: Ranking, known: Known): Ranking {
  const reasons = new Map<Label, string>();
  for (const entry of list(draft.unacceptable))
    if (isRecord(entry) && known(entry.label)) reasons.set(entry.label, typeof entry.reason === "string" ? entry.reason : "");
  const seen = new Set<Label>();
  const tiers = list(draft.tiers)
    .map((tier) => list(tier).filter(known).filter((label) => !seen.has(label) && seen.add(label)))
    .filter((tier) => tier.length);
  const split = empty.tiesAllowed ? tiers : tiers.flatMap((tier) => tier.map((label) => [label]));
  const good = split.map((tier) => tier.filter((label) => !reasons.has(label))).filter((tier) => tier.length);
  const bad = split.map((tier) => tier.filter((label) => reasons.has(label))).filter((tier) => tier.length);
  const placed = list(draft.placed).filter(known).filter((label) => seen.has(label));
  const flat = [...good, ...bad].flat();
  const rest = flat.filter((label) => !placed.includes(label));
  return {
    ...empty,
    tiers: [...good, ...bad],
    unacceptable: Object.fromEntries([...reasons].filter(([label]) => seen.has(label))),
    // Without the order in which they were placed, Backspace walks from the worst upwards.
    placed: placed.length ? [...placed] : flat,
    automatic: placed.length && rest.length === 1 ? (rest[0] as Label) : null,
  };
}

function strengthsFrom(value: unknown, ranking: Ranking): Record<string, number> {
  const result: Record<string, number> = {};
  list(value).forEach((strength, i) => {
    const [upper, lower] = [ranking.tiers[i], ranking.tiers[i + 1]];
    if (upper && lower && typeof strength === "number" && strength >= 1 && strength <= 3) result[boundary(upper, lower)] = strength;
  });
  return result;
}

function ratingsFrom(value: unknown, judging: Judging, known: Known): Record<string, Record<Label, number>> {
  const result: Record<string, Record<Label, number>> = {};
  if (!isRecord(value)) return result;
  for (const axis of judging.axes) {
    const byLabel = value[axis.key];
    if (!isRecord(byLabel)) continue;
    const kept = Object.entries(byLabel).filter(
      (entry): entry is [Label, number] => known(entry[0]) && typeof entry[1] === "number" && entry[1] >= axis.min && entry[1] <= axis.max,
    );
    if (kept.length) result[axis.key] = Object.fromEntries(kept);
  }
  return result;
}

function demonstrationFrom(value: unknown, known: Known): Form["demonstration"] {
  if (!isRecord(value) || typeof value.text !== "string") return null;
  return { text: value.text, from: known(value.from) ? value.from : null };
}
