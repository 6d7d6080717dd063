import type { components } from "./schema";

/** Shapes of training runs; they are generated but for what the API leaves open. */
type Schemas = components["schemas"];

export type RunState = Schemas["RunStateEnum"];
export type RunAction = "cancel" | "resume";
export type ParentUse = Schemas["ParentUseEnum"];

/** A value of a field of the engine's spec. */
export type SpecValue = string | number | boolean | null | readonly (string | number)[];
/** Part of a spec, by section: `{ "optimizer": { "lr": 1e-4 } }`. */
export type SpecValues = Record<string, SpecValue | Record<string, SpecValue>>;
export type Spec = Readonly<Record<string, unknown>>;

export type RunRow = Schemas["RunRow"];
export type RunDetail = Omit<Schemas["RunDetail"], "made" | "latest"> & { made: Made | null; latest: MetricValues | null };

export type MetricValues = Record<string, unknown>;
export type MetricRow = Schemas["RunMetricRow"];
export type MetricPage = Schemas["RunMetrics"];

/** The engine's run.json, as far as it is shown. Memory in MB (2**20 bytes). */
export interface Made {
  versions?: Record<string, string | null>;
  seeds?: Record<string, number>;
  data?: { sha256?: string };
  git?: { revision: string; changed: boolean } | null;
  device?: Record<string, string | number>;
  [more: string]: unknown;
}

export type LeftOutPart = Schemas["LeftOutPart"];
export type Memory = Schemas["Memory"];
export type RunEstimate = Schemas["RunEstimate"];
export type SpecField = Omit<Schemas["RunField"], "default"> & { default: SpecValue };
export type RunOptions = Omit<Schemas["RunOptions"], "fields"> & { fields: SpecField[] };

export interface NewRun {
  snapshot: number;
  method: string;
  preset: string;
  values: SpecValues;
  parent: number | null;
  parent_use: ParentUse;
  judge: number | null;
}

export type RolloutRow = Schemas["RolloutRow"];
export type RolloutDetail = Schemas["RolloutDetail"];
export type KeptRollouts = Schemas["KeptRollouts"];
export const ROLLOUT_ORDERS = ["newest", "reward_high", "reward_low", "kl_high", "longest", "shortest"] as const;
export type RolloutOrder = (typeof ROLLOUT_ORDERS)[number];
