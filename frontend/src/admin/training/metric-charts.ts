import type { MetricRow } from "$lib/api/run-types";

/** Parts of a page with many charts: is it better, how the policy and the critic learn, what it costs. */
export const PARTS = ["result", "policy", "critic", "machine"] as const;
export type PartKey = (typeof PARTS)[number];

/** Metrics that are drawn together, in the order in which a run is looked at. */
const GROUPS = [
  { key: "reward", part: "result", metrics: ["reward", "reward_std", "evaluation_reward"] },
  { key: "sources", part: "result", metrics: [] },
  { key: "score", part: "result", metrics: ["score", "evaluation_score"] },
  { key: "loss", part: "result", metrics: ["loss", "evaluation_loss", "evaluation_log_loss"] },
  { key: "accuracy", part: "result", metrics: ["accuracy", "evaluation_accuracy"] },
  { key: "margin", part: "result", metrics: ["margin", "chosen", "rejected", "rewards_chosen", "rewards_rejected", "evaluation_margin"] },
  { key: "kl", part: "result", metrics: ["kl", "evaluation_kl"] },
  { key: "kl_coef", part: "result", metrics: ["kl_coef"] },
  { key: "length", part: "result", metrics: ["length", "evaluation_length"] },
  { key: "end_rate", part: "result", metrics: ["end_rate"] },
  { key: "policy_loss", part: "policy", metrics: ["policy_loss"] },
  { key: "ptx_loss", part: "policy", metrics: ["ptx_loss"] },
  { key: "approx_kl", part: "policy", metrics: ["approx_kl"] },
  { key: "clip", part: "policy", metrics: ["clip_fraction", "value_clip_fraction"] },
  { key: "entropy", part: "policy", metrics: ["entropy", "update_entropy"] },
  { key: "ratio", part: "policy", metrics: ["ratio", "importance"] },
  { key: "mismatch_kl", part: "policy", metrics: ["mismatch_kl"] },
  { key: "value_loss", part: "critic", metrics: ["value_loss"] },
  { key: "explained_variance", part: "critic", metrics: ["explained_variance"] },
  { key: "value", part: "critic", metrics: ["value"] },
  { key: "lr", part: "machine", metrics: ["lr"] },
  { key: "grad_norm", part: "machine", metrics: ["grad_norm", "critic_grad_norm"] },
  { key: "tokens_per_s", part: "machine", metrics: ["tokens_per_s", "rollout_tokens_per_s", "measure_tokens_per_s", "update_tokens_per_s"] },
  { key: "rollout_wait_s", part: "machine", metrics: ["rollout_wait_s"] },
  { key: "memory_mb", part: "machine", metrics: ["memory_mb"] },
] as const;
/** What has a name, and no chart among the first. */
const NAMED = ["kl_token", "updates", "stopped_early", "rollout_age", "alarms"] as const;
/** Where a line belongs, and what the head of the page says already. */
const NO_CURVES = new Set(["step", "steps", "epoch", "epochs", "tokens", "eta_s", "time"]);
/** What one source of rewards gave: a reward model by its number, a function by its name. */
const SOURCE = /^reward_(?!std$)/;

export type GroupKey = (typeof GROUPS)[number]["key"];
export type MetricKey = (typeof GROUPS)[number]["metrics"][number] | (typeof NAMED)[number];
export interface Curve {
  metric: string;
  values: (number | null)[];
}
export interface Chart {
  key: GroupKey;
  part: PartKey;
  curves: Curve[];
}
export interface MetricCharts {
  steps: number[];
  charts: Chart[];
  /** What the engine wrote beside the metrics that every method has, each for itself. */
  more: Curve[];
}

/** Charts of what is in the lines; a metric without a number has none. */
export function chartsOf(rows: readonly MetricRow[]): MetricCharts {
  const points = pointsOf(rows);
  const found = new Set(points.flatMap(([, values]) => Object.keys(values)));
  const curve = (metric: string): Curve => ({ metric, values: points.map(([, values]) => values[metric] ?? null) });
  const known = new Set<string>(GROUPS.flatMap(({ metrics }) => metrics));
  const sources = [...found].filter((metric) => SOURCE.test(metric)).sort();
  // What the only source gave is the reward itself.
  const metricsOf = ({ key, metrics }: (typeof GROUPS)[number]): readonly string[] => (key === "sources" ? (sources.length > 1 ? sources : []) : metrics);
  return {
    steps: points.map(([step]) => step),
    charts: GROUPS.map((group) => ({ key: group.key, part: group.part, curves: metricsOf(group).filter((metric) => found.has(metric)).map(curve) })).filter(
      ({ curves }) => curves.length,
    ),
    more: [...found].filter((metric) => !known.has(metric) && !NO_CURVES.has(metric) && !SOURCE.test(metric)).sort().map(curve),
  };
}

/** What a source of rewards is called: the folder or function that the spec names. */
export function sourceOf(metric: string, rewards: readonly string[]): string | null {
  if (!SOURCE.test(metric)) return null;
  const called = metric.replace(SOURCE, "");
  return (/^\d+$/.test(called) ? rewards[Number(called)] : undefined) ?? called;
}

type Point = [step: number, values: Record<string, number>];

/** A step may have several lines: an evaluation has one of its own. */
function pointsOf(rows: readonly MetricRow[]): Point[] {
  const points = new Map<number, Record<string, number>>();
  for (const { values } of rows) {
    if (typeof values.step !== "number") continue;
    const numbers = Object.entries(values).filter((entry): entry is [string, number] => typeof entry[1] === "number");
    points.set(values.step, { ...points.get(values.step), ...Object.fromEntries(numbers) });
  }
  return [...points].sort(([a], [b]) => a - b);
}
