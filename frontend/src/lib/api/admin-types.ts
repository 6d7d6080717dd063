import type { components } from "./schema";
import type { Judging } from "./types";

/** Shapes of the API that only the admin pages use, under the names that they use. */
type Schemas = components["schemas"];

export type ProjectSummary = Schemas["ProjectRow"];
export type Member = Schemas["Member"];
export type Invited = Schemas["Invited"];
export type Members = Schemas["Members"];
export type Added = Schemas["Added"];
export type AuditEvent = Schemas["AuditRow"];

/** What a form about a project edits; `slug` counts when the project is created. */
export interface ProjectValues {
  slug: string;
  name: string;
  description: string;
  guidelines: string;
  judging: Judging;
  overlap: number;
  lease_seconds: number;
}

export type Split = Schemas["PromptRow"]["split"];
export type PromptRow = Schemas["PromptRow"];
export type PromptDetail = Schemas["PromptDetail"];
export type ImportFormat = Schemas["PromptsTextRequest"]["format"];
export type ImportProblem = Schemas["ImportProblem"];
export type ImportReport = Schemas["ImportReportShape"];

export type ServedModel = Schemas["AvailableModel"];
export type Source = Required<Schemas["SourceSpecRequest"]>;

/** Null means "any": of the tags, of the splits, all of what matches. */
export interface PromptFilter {
  tag: string | null;
  search: string;
  sample: number | null;
  split: Split | null;
}
export interface RoundSpec {
  prompts: PromptFilter;
  k: number;
  overlap: number;
  sources: Source[];
}
export type Estimate = Schemas["RoundEstimate"];

export type RoundAction = "start" | "pause" | "resume" | "cancel" | "close" | "retry";
export type Round = Schemas["RoundRow"];
export type RoundDetail = Schemas["RoundMonitor"];
export type TaskFlag = Schemas["RoundFlag"];

export type SeenRanking = Schemas["RankingDetail"];
export type SeenResponse = Schemas["SeenResponse"];
export type ComparisonRow = Schemas["ComparisonRow"];

export type Replica = Schemas["ReplicaReport"];
export type ApiToken = Schemas["TokenRow"];
export type NewToken = Schemas["NewToken"];
