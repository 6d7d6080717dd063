import type { PromptContent } from "./types";

/** Shapes of adapters, evaluations, promotions, serving, leaderboard, lineage and loop. */

/** 95%; an estimate of one prompt alone has no interval. */
export interface Estimate {
  value: number;
  low: number | null;
  high: number | null;
}

export type ServingState = "stored" | "loading" | "serving" | "retired" | "unloaded";

export interface AdapterRow {
  number: number;
  run: number;
  snapshot: number;
  method: string;
  base: string;
  parent: number | null;
  judge: number | null;
  content_hash: string;
  bytes: number;
  /** Whether it is the project's model now. */
  current: boolean;
  accuracy: Estimate | null;
  created_at: string;
}
export type AdapterEvaluation = Pick<EvaluationRow, "number" | "state" | "incumbent" | "win_rate" | "created_at">;
export interface AdapterDetail extends AdapterRow {
  served_as: string | null;
  serving_state: ServingState | null;
  files: string[];
  evaluations: AdapterEvaluation[];
  promotions: Pick<Promotion, "number" | "kind" | "state" | "created_at">[];
}

export type EvaluationState = "queued" | "answering" | "judging" | "ready" | "failed" | "canceled";
export interface WinRate extends Estimate {
  wins: number;
  ties: number;
  losses: number;
  prompts: number;
  method: string;
}
export interface EvaluationSettings {
  prompts: number;
  temperature: number;
  top_p: number;
  max_tokens: number;
}
export interface EvaluationRow {
  number: number;
  state: EvaluationState;
  candidate: number;
  /** Null: the base itself. */
  incumbent: number | null;
  /** Null: no win rate. */
  judge: number | null;
  snapshot: number;
  /** How many prompts both sides answer (0: not known yet), and how many answers and rewards there are. */
  prompts: number;
  answered: number;
  judged: number;
  win_rate: WinRate | null;
  message: string;
  created_by: string;
  created_at: string;
  finished_at: string | null;
}
export interface Sides {
  candidate: number;
  incumbent: number;
}
export interface Report {
  measured: Measured | null;
  win_rate: WinRate | null;
  judge: { adapter: number; accuracy: Estimate | null } | null;
  length: (Sides & { ratio: number | null }) | null;
  rewards: Sides | null;
  cut_off: Sides | null;
  accuracy: Estimate | null;
  kl: Estimate | null;
  forgetting: (Estimate & { ratio: number | null; on: "general_text" | "demonstrations" }) | null;
  prompts: number;
  left_out: number;
  notes: string[];
  /** Why a part is null. */
  missing: Record<string, string>;
}
/** The engine's evaluation.json, as far as it is shown. */
export interface Measured {
  accuracy: Estimate | null;
  accuracy_by_strength: { strength: number; accuracy: Estimate }[] | null;
  agreement: { ceiling: Estimate | null; reason: string | null } | null;
  general_text: Forgetting | null;
  demonstrations: Forgetting | null;
  kl: { per_token: Estimate; per_completion: number; tokens: number } | null;
  length: { trained: number; base: number; difference: Estimate } | null;
  missing: Record<string, string>;
}
export interface Forgetting {
  difference: Estimate;
  ratio: number | null;
}
export interface Verdict {
  name: string;
  passed: boolean;
  text: string;
  value: number | null;
  bound: number | null;
}
export interface EvaluationDetail extends EvaluationRow {
  settings: EvaluationSettings;
  report: Report | null;
  verdicts: Verdict[];
}
export interface AnswerSide {
  text: string;
  tokens: number;
  /** "refused": the text says why there is no answer. */
  finish_reason: string;
  adapter_hash: string;
  reward: number | null;
}
export interface AnswerPair {
  prompt: PromptContent & { id: number };
  candidate: AnswerSide;
  incumbent: AnswerSide | null;
  /** Of the candidate. */
  outcome: "win" | "tie" | "loss" | null;
}

export type PromotionState = "queued" | "swapping" | "done" | "failed";
export interface Promotion {
  number: number;
  kind: "promote" | "roll_back";
  /** Null: the base. */
  adapter: number | null;
  previous: number | null;
  evaluation: number | null;
  state: PromotionState;
  reason: string;
  message: string;
  attempts: number;
  stale: Stale;
  stale_tasks: number;
  /** Null: the loop. */
  created_by: string | null;
  created_at: string;
  finished_at: string | null;
}
export type Stale = "keep" | "mark" | "regenerate";

export interface ServedHere {
  name: string;
  kind: "base" | "adapter";
  adapter: number | null;
  /** "zero" answers for the base beside adapters. */
  role: "base" | "zero" | "current" | "candidate" | "other";
  selftest: "passed" | "pending" | "failed";
  detail: string;
}
export interface ServingReplica {
  name: string;
  state: string;
  message: string;
  /** For adapters; null: the server has not said. */
  places: number | null;
  taken: number;
  free: number | null;
  served: ServedHere[];
}
export interface ServingReport {
  alias: string;
  current: number | null;
  rolls_back_to: { adapter: number | null } | null;
  /** The one that is under way. */
  promotion: Promotion | null;
  replicas: ServingReplica[];
}

export interface RatedModel {
  model: string;
  adapter: number | null;
  adapter_hash: string;
  /** The base: its rating is 1000 by definition. */
  anchor: boolean;
  rating: number;
  low: number;
  high: number;
  comparisons: number;
  wins: number;
  ties: number;
  losses: number;
}
export interface LeaderboardReport {
  models: RatedModel[];
  comparisons: number;
  tasks: number;
  left_out: number;
  resamples: number;
  method: string;
}

export type LineageKind = "base" | "labeler" | "labelers" | "round" | "snapshot" | "run" | "adapter" | "promotion";
export interface LineageNode {
  id: string;
  kind: LineageKind;
  number: number | null;
  title: string;
  detail: string;
  at: string | null;
}
export interface Lineage {
  nodes: LineageNode[];
  edges: { from: string; to: string; count: number | null }[];
  /** Of each kind so many are shown. */
  latest: number;
}
/** One of the two. */
export interface TouchedQuery {
  labeler?: string;
  round?: number;
}
export type Because = "snapshot" | "parent" | "judge";
export interface TouchedAdapter {
  number: number;
  run: number;
  snapshot: number;
  method: string;
  because: Because;
  current: boolean;
  promotions: number[];
}
export interface Touched {
  rankings: number;
  snapshots: { number: number; rankings: number }[];
  runs: { number: number; method: string; state: string; snapshot: number; because: Because }[];
  adapters: TouchedAdapter[];
}
export interface Rebuild {
  id: number;
  /** The one that is trained again. */
  adapter: number;
  snapshot: number;
  snapshot_state: string;
  /** Null until the snapshot is ready. */
  run: number | null;
  run_state: string | null;
  /** The new adapter. */
  made: number | null;
  /** Why there will be no run. */
  message: string;
  created_by: string;
  created_at: string;
}
