import type { components } from "./schema";

/** The API's shapes under the names that pages use. They are generated: `npm run types`. */
type Schemas = components["schemas"];

export interface Page<Row> {
  results: Row[];
  next: string | null;
}

export type User = Schemas["SessionUser"];
export type Session = Schemas["SessionShape"];
export type Invitation = Schemas["InvitationShape"];
export type Health = Schemas["Health"];
export type Role = Schemas["RoleEnum"];
export type Decision = Schemas["Decision"];

export type Reason = Schemas["Reason"];
export type Queue = Schemas["Queue"];
export type Axis = Schemas["Axis"];
export type Judging = Schemas["Judging"];
export type ProjectDetail = Schemas["ProjectDetail"];

export type Message = Schemas["Message"];
export type PromptContent = Schemas["ShownPrompt"];
/** A response; only a ranking's detail knows where it came from, and only for reviewers. */
export type ResponseText = Schemas["Response_"] & { provenance?: Schemas["Provenance"] | null };

export type Submit = Required<Omit<Schemas["SubmitRequest"], "draft">> & Pick<Schemas["SubmitRequest"], "draft">;
/** What a labeler says about a task: a submit without its idempotency key and the draft it was made from. */
export type Judgment = Omit<Submit, "key" | "draft">;
export type KeptText = Schemas["KeptText"];
export type SavedDraft = Schemas["SavedDraft"];
export type Claim = Schemas["ClaimShape"];
export type ClaimAnswer = Schemas["NextClaim"];
export type RankingReceipt = Schemas["ReceiptShape"];
export type RankingRow = Schemas["RankingRow"];
export type RankingDetail = Schemas["RankingDetail"];
export type FlagKind = Schemas["FlagKindEnum"];
