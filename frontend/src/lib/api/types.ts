/** Shapes of the API as pages use them. */
export interface Page<Row> {
  results: Row[];
  next: string | null;
}

export interface User {
  id: number;
  username: string;
  name: string;
  is_staff: boolean;
}
export interface Session {
  user: User | null;
  csrf_token: string;
}

export interface Health {
  status: "ok" | "degraded";
  inference: {
    state: "ready" | "loading" | "down" | "failing";
    message: string;
    replicas?: { name: string; state: string; message: string }[];
  };
}

export type Role = "owner" | "admin" | "reviewer" | "labeler" | "viewer";

export interface Reason {
  code: string;
  message: string;
}
export interface Queue {
  project: { slug: string; name: string };
  role: Role;
  waiting: number;
  ranked_today: number;
  ranked_total: number;
  reason: Reason | null;
}

export interface Axis {
  key: string;
  name: string;
  min: number;
  max: number;
}
export interface Judging {
  k_default: number;
  ties_allowed: boolean;
  strength: boolean;
  axes: Axis[];
  tags: string[];
  rationale: "off" | "optional" | "required";
  write_better: boolean;
}
export interface ProjectDetail {
  slug: string;
  name: string;
  description: string;
  guidelines: string;
  role: Role;
  judging: Judging;
  overlap: number;
  lease_seconds: number;
  counts: { prompts: number; rounds: number; rankings: number; comparisons: number };
}

export interface Message {
  role: "system" | "user" | "assistant";
  content: string;
}
export interface PromptContent {
  messages: Message[];
  documents: { title: string; text: string }[];
}
export interface ResponseText {
  label: string;
  text: string;
  cut_off: boolean;
  completion?: number;
  served_model?: string;
  temperature?: number;
}

export interface Judgment {
  tiers: string[][];
  unacceptable: { label: string; reason: string }[];
  strengths: (number | null)[];
  ratings: Record<string, Record<string, number>>;
  tags: string[];
  rationale: string;
  active_ms: number;
  demonstration: { text: string; from: string | null } | null;
}
export interface Submit extends Judgment {
  key: string;
}
export interface Claim {
  id: number;
  project: string;
  round: number;
  expires_at: string;
  lease_seconds: number;
  prompt: PromptContent;
  responses: ResponseText[];
  draft: Record<string, unknown> | null;
}
export interface ClaimAnswer {
  claim: Claim | null;
  reason: Reason | null;
}
export interface RankingReceipt {
  id: number;
  claim: number;
  counted: boolean;
  revision: number;
  created_at: string;
}
export interface RankingRow {
  id: number;
  project: string;
  round: number;
  prompt_excerpt: string;
  labeler: string;
  tiers: string[][];
  created_at: string;
  revision: number;
  current: boolean;
  counted: boolean;
  withdrawn: boolean;
  editable: boolean;
}
export interface RankingDetail extends RankingRow, Judgment {
  prompt: PromptContent;
  responses: ResponseText[];
}
export type FlagKind = "harmful" | "personal_data" | "broken" | "other";
