import type { components } from "./schema";

/** Shapes of adapters, evaluations, promotions, serving, leaderboard and lineage, under the names that pages use. */
type Schemas = components["schemas"];

/** 95%; an estimate of one prompt alone has no interval. */
export type Estimate = Pick<Schemas["MeasuredValue"], "value" | "low" | "high">;

/** What an adapter is to its project now. */
export type Standing = Schemas["StandingShape"];
export type AdapterRow = Schemas["AdapterRow"];
export type AdapterDetail = Schemas["AdapterDetail"];
export type AdapterEvaluation = Schemas["AdapterEvaluation"];

export type EvaluationState = Schemas["EvaluationStateEnum"];
export type WinRate = Schemas["WinRateShape"];
export type EvaluationSettings = Required<Schemas["EvaluationSettingsShape"]>;
export type EvaluationRow = Schemas["EvaluationRow"];
export type EvaluationDetail = Omit<Schemas["EvaluationDetail"], "report"> & { report: Report | null };
export type Report = Omit<Schemas["ReportShape"], "measured"> & { measured: Measured | null };
export type Verdict = Schemas["VerdictShape"];
export type AnswerSide = Schemas["SideAnswer"];
export type AnswerPair = Schemas["AnswerRow"];

/** The engine's evaluation.json, as far as it is shown. */
export interface Measured {
  accuracy: Schemas["MeasuredValue"] | null;
  accuracy_by_strength: { strength: number; accuracy: Estimate }[] | null;
  /** Runs before version 2 say `ceiling` for `pairwise`, and nothing of the others. */
  agreement: {
    pairwise?: Estimate | null;
    ceiling?: Estimate | null;
    reason: string | null;
    others_majority_accuracy?: Estimate | null;
    others_reason?: string | null;
  } | null;
  general_text: Forgetting | null;
  demonstrations: Forgetting | null;
  kl: { per_token: Schemas["MeasuredValue"]; per_completion: number; tokens: number } | null;
  length: { trained: number; base: number; difference: Estimate } | null;
  missing: Record<string, string>;
}
export interface Forgetting {
  difference: Estimate;
  ratio: number | null;
}

export type Promotion = Schemas["PromotionRow"];
export type Stale = Schemas["StaleEnum"];
export type ServingReplica = Schemas["ServingReplica"];
export type ServingReport = Schemas["ServingReport"];

export type LeaderboardReport = Schemas["Leaderboard"];

export type LineageKind = Schemas["LineageKindEnum"];
export type LineageNode = Schemas["LineageNode"];
export type Lineage = Schemas["Lineage"];
export type Touched = Schemas["TouchedShape"];
export type Rebuild = Schemas["RebuildRow"];
/** One of the two. */
export interface TouchedQuery {
  labeler?: string;
  round?: number;
}
