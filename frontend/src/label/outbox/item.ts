import type { FlagKind, Submit } from "$lib/api/types";

/** One thing that waits to be sent, with everything needed to send it after a restart. */
export type Errand =
  | { kind: "ranking"; body: Submit }
  | { kind: "revision"; ranking: number; body: Submit }
  | { kind: "skip"; key: string; reason: string; note: string }
  | { kind: "flag"; key: string; flag: FlagKind; note: string };

export interface NewItem {
  /** Whose work it is: it is never sent in another person's session. */
  user: number;
  project: string;
  claim: number;
  errand: Errand;
  /** First words of the prompt, so that a person recognizes the task. */
  excerpt: string;
  created_at: string;
}

export interface Item extends NewItem {
  /** Place in the queue; given by the store, ever growing. */
  seq: number;
  attempts: number;
  /** Set when the server refused it for good: a person has to decide. */
  refusal: Refusal | null;
}

export interface Refusal {
  code: string;
  message: string;
  /** With `already_ranked` and `outdated`: the ranking that is there. */
  ranking: number | null;
}
