import type { LoopSettings } from "$lib/api/loop-types";
import { t } from "$lib/catalogue.svelte";
import { list, number, percent } from "$lib/format";
import { methodName } from "../models/names";

/** As the server has them before a policy is saved. */
export const newSettings = (): LoopSettings => ({
  trigger: { comparisons: 500, hours: null },
  snapshot: { minimum_overlap: 1, flagged: false, aggregation: "every", weight: "ranking" },
  run: { method: "dpo", preset: "135m-cpu", values: {}, start_from: "base" },
  judge: { train: true, preset: "135m-cpu", values: {} },
  evaluation: { prompts: 64, temperature: 0.7, top_p: 0.95, max_tokens: 128 },
  gate: { min_win_rate: 0.5, min_win_rate_low: null, min_accuracy: null, max_kl: null, max_forgetting: null, max_length_ratio: 2, max_left_out: null },
  promotion: "ask",
  humans: null,
  stale: "keep",
  next_round: newRound(),
});

export const newRound = (): NonNullable<LoopSettings["next_round"]> => ({
  prompts: "fresh",
  sample: 50,
  k: 4,
  overlap: 1,
  temperature: 0.8,
  top_p: 0.95,
  max_tokens: 256,
});

export const newHumans = (): NonNullable<LoopSettings["humans"]> => ({ rankings: 50, min_win_rate: 0.5 });

type GateKey = keyof LoopSettings["gate"];
export const GATE: readonly { key: GateKey; share: boolean; max?: number; step: number }[] = [
  { key: "min_win_rate", share: true, max: 1, step: 0.01 },
  { key: "min_win_rate_low", share: true, max: 1, step: 0.01 },
  { key: "min_accuracy", share: true, max: 1, step: 0.01 },
  { key: "max_kl", share: false, max: 1000, step: 0.001 },
  { key: "max_forgetting", share: false, max: 100, step: 0.001 },
  { key: "max_length_ratio", share: false, max: 1000, step: 0.05 },
  { key: "max_left_out", share: true, max: 1, step: 0.01 },
];

/** The policy in words: when a turn begins, what it does, what is asked of its candidate. */
export function inWords(settings: LoopSettings, active: boolean): string[] {
  return [begins(settings, active), trains(settings), judged(settings), decided(settings), then(settings)].filter(Boolean);
}

function begins({ trigger: { comparisons, hours } }: LoopSettings, active: boolean): string {
  if (!active || (comparisons === null && hours === null)) return t("admin.words.byHand");
  if (comparisons === null) return t("admin.words.hours", { hours: number(hours ?? 0, 1) });
  return hours === null ? t("admin.words.comparisons", { n: comparisons }) : t("admin.words.either", { n: comparisons, hours: number(hours, 1) });
}

function trains({ snapshot, run }: LoopSettings): string {
  const data = t(`admin.words.data.${snapshot.aggregation}`);
  return t(`admin.words.train.${run.start_from}`, { data, method: methodName(run.method) });
}

function judged({ judge, evaluation }: LoopSettings): string {
  return t(judge.train ? "admin.words.judgeNew" : "admin.words.judgeNewest", { n: evaluation.prompts });
}

function decided({ gate, humans, promotion }: LoopSettings): string {
  const asked = GATE.flatMap(({ key, share }) => {
    // Steps that began before a threshold existed do not have it.
    const bound = (gate as Partial<typeof gate>)[key] ?? null;
    return bound === null ? [] : [t(`admin.words.gate.${key}`, { bound: share ? percent(bound, 1) : number(bound, 3) })];
  });
  const people = humans ? [t("admin.words.humans", { n: humans.rankings, share: percent(humans.min_win_rate, 1) })] : [];
  const conditions = [...asked, ...people];
  if (!conditions.length) return t(`admin.words.always.${promotion}`);
  return t(`admin.words.if.${promotion}`, { conditions: list(conditions) });
}

function then({ stale, next_round }: LoopSettings): string {
  const open = t(`admin.words.stale.${stale}`);
  if (!next_round) return t("admin.words.noRound", { open });
  const { prompts, sample, k } = next_round;
  const which = sample === null ? t(`admin.words.all.${prompts}`) : t(`admin.words.some.${prompts}`, { n: sample });
  return t("admin.words.round", { open, which, k });
}

/** Errors of one field by its path in the settings ("gate.max_kl"), and of what is inside of it. */
export function errorsAt(fields: Readonly<Record<string, string[]>>, path: string): string[] {
  const whole = `settings.${path}`;
  return Object.entries(fields).flatMap(([name, errors]) => (name === whole || name.startsWith(`${whole}.`) ? errors : []));
}
