import type { EvaluationSettings, Stale, Verdict } from "./model-types";

/** Shapes of the loop: its policy, its steps. */
export type Aggregation = "every" | "majority" | "mean_rank";
export interface NextRound {
  prompts: "same" | "fresh";
  sample: number | null;
  k: number;
  overlap: number;
  temperature: number;
  top_p: number;
  max_tokens: number;
}
export interface Humans {
  rankings: number;
  min_win_rate: number;
}
export interface Gate {
  min_win_rate: number | null;
  min_win_rate_low: number | null;
  min_accuracy: number | null;
  max_kl: number | null;
  max_forgetting: number | null;
  max_length_ratio: number | null;
}
export interface LoopSettings {
  trigger: { comparisons: number | null; hours: number | null };
  snapshot: { minimum_overlap: number; flagged: boolean; aggregation: Aggregation; weight: "ranking" | "task" };
  run: { method: string; preset: string; values: Record<string, unknown>; start_from: "base" | "current" };
  judge: { train: boolean; preset: string; values: Record<string, unknown> };
  evaluation: EvaluationSettings;
  gate: Gate;
  promotion: "automatic" | "ask";
  humans: Humans | null;
  stale: Stale;
  next_round: NextRound | null;
}

export type StepState = "running" | "paused" | "done" | "failed" | "canceled";
export type Stage = "snapshot" | "judge" | "train" | "evaluate" | "humans" | "gate" | "promote" | "round";
export interface StepRow {
  number: number;
  state: StepState;
  stage: Stage;
  cause: string;
  waiting_for: string;
  /** How it ended. */
  message: string;
  promoted: boolean | null;
  /** An admin is to approve or reject the candidate. */
  asks: boolean;
  snapshot: number | null;
  judge_run: number | null;
  judge: number | null;
  run: number | null;
  candidate: number | null;
  evaluation: number | null;
  ab_round: number | null;
  promotion: number | null;
  round: number | null;
  /** Null: the policy. */
  created_by: string | null;
  created_at: string;
  finished_at: string | null;
}
export interface LoopEvent {
  position: number;
  stage: Stage;
  text: string;
  at: string;
}
/** The time that a step spent in one stage. */
export interface Stretch {
  stage: Stage;
  began_at: string;
  ended_at: string | null;
  seconds: number;
  text: string;
}
export interface Comparing {
  wins: number;
  ties: number;
  losses: number;
  rankings: number;
  limit: number;
  win_rate: number | null;
  min_win_rate: number;
  low: number;
  high: number;
  method: string;
  passed: boolean | null;
  text: string;
}
export interface StepDetail extends StepRow {
  settings: LoopSettings;
  incumbent: number | null;
  events: LoopEvent[];
  stages: Stretch[];
  verdicts: Verdict[];
  ab: Comparing | null;
}
export interface LoopOverview {
  settings: LoopSettings;
  active: boolean;
  /** For whom the loop acts; null: no policy was saved. */
  owner: string | null;
  changed_at: string | null;
  /** Why the saved settings cannot be read any more. */
  problem: string;
  next: { comparisons: number; needed: number | null; due_at: string | null; text: string };
  /** The unfinished one, or else the last. */
  step: StepRow | null;
}
export type LoopAction = "step" | "pause" | "resume" | "cancel" | "retry" | "approve" | "reject";
