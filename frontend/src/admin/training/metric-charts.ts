import type { MetricRow } from "$lib/api/run-types";

/** Metrics that are drawn together, in the order in which a run is looked at. */
const GROUPS = [
  { key: "loss", metrics: ["loss", "evaluation_loss", "evaluation_log_loss"] },
  { key: "accuracy", metrics: ["accuracy", "evaluation_accuracy"] },
  { key: "margin", metrics: ["margin", "chosen", "rejected", "rewards_chosen", "rewards_rejected", "evaluation_margin"] },
  { key: "reward", metrics: ["reward", "reward_std", "evaluation_reward"] },
  { key: "kl", metrics: ["kl", "evaluation_kl"] },
  { key: "lr", metrics: ["lr"] },
  { key: "grad_norm", metrics: ["grad_norm"] },
  { key: "tokens_per_s", metrics: ["tokens_per_s"] },
  { key: "memory_mb", metrics: ["memory_mb"] },
] as const;
/** Where a line belongs, and what the head of the page says already. */
const NO_CURVES = new Set(["step", "steps", "epoch", "epochs", "tokens", "eta_s", "time"]);

export type GroupKey = (typeof GROUPS)[number]["key"];
export type MetricKey = (typeof GROUPS)[number]["metrics"][number];
export interface Curve {
  metric: string;
  values: (number | null)[];
}
export interface MetricCharts {
  steps: number[];
  charts: { key: GroupKey; curves: Curve[] }[];
  /** What the engine wrote beside the metrics that every method has, each for itself. */
  more: Curve[];
}

/** Charts of what is in the lines; a metric without a number has none. */
export function chartsOf(rows: readonly MetricRow[]): MetricCharts {
  const points = pointsOf(rows);
  const found = new Set(points.flatMap(([, values]) => Object.keys(values)));
  const curve = (metric: string): Curve => ({ metric, values: points.map(([, values]) => values[metric] ?? null) });
  const known = new Set<string>(GROUPS.flatMap(({ metrics }) => metrics));
  return {
    steps: points.map(([step]) => step),
    charts: GROUPS.map(({ key, metrics }) => ({ key, curves: metrics.filter((metric) => found.has(metric)).map(curve) })).filter(({ curves }) => curves.length),
    more: [...found].filter((metric) => !known.has(metric) && !NO_CURVES.has(metric)).sort().map(curve),
  };
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
