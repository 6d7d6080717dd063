import { del, get, post, put } from "./client";
import { ApiError } from "./error";
import type { Claim, ClaimAnswer, FlagKind, Page, ProjectDetail, Queue, RankingDetail, RankingReceipt, RankingRow, SavedDraft, Submit } from "./types";

/** What "today" is, the browser knows; a zone that the server does not know is left out. */
export const queues = (zone: string | null = Intl.DateTimeFormat().resolvedOptions().timeZone || null): Promise<{ results: Queue[] }> =>
  get<{ results: Queue[] }>("/api/queues", { zone }).catch((thrown: unknown) => {
    if (zone !== null && thrown instanceof ApiError && "zone" in thrown.fields) return queues(null);
    throw thrown;
  });
export const project = (slug: string) => get<ProjectDetail>(`/api/projects/${encodeURIComponent(slug)}`);

export const claimNext = (slug: string, have: readonly number[]) =>
  post<ClaimAnswer>(`/api/projects/${encodeURIComponent(slug)}/claims`, { have });
export const renewClaim = (claim: number) => post<{ expires_at: string }>(`/api/claims/${claim}/renew`);
export const releaseClaim = (claim: number) => post<void>(`/api/claims/${claim}/release`, {}, { keepalive: true });
/** `text`: the draft, and what it was made from. */
export const saveDraft = (claim: number, text: { body: unknown; base: number; writer: string; step: number }, as: number, keepalive = false) =>
  put<SavedDraft>(`/api/claims/${claim}/draft`, text, { as, keepalive });
export const readClaim = async (claim: number) => (await get<{ claim: Claim }>(`/api/claims/${claim}`)).claim;
/** The kept text becomes the newest, and the newest is kept in its place. */
export const useKeptText = async (claim: number, kept: number) =>
  (await post<{ claim: Claim }>(`/api/claims/${claim}/kept/${kept}`)).claim;
export const dropKeptText = (claim: number, kept: number) => del(`/api/claims/${claim}/kept/${kept}`);

/** What may be sent long after it was said names whose it is (`as`, a user's id). */
export const submitRanking = (claim: number, submit: Submit, as: number) =>
  post<RankingReceipt>(`/api/claims/${claim}/ranking`, submit, { as });
export const skipClaim = (claim: number, key: string, reason: string, note: string, as: number) =>
  post<object>(`/api/claims/${claim}/skip`, { key, reason, note }, { as });
export const flagClaim = (claim: number, key: string, kind: FlagKind, note: string, as: number) =>
  post<object>(`/api/claims/${claim}/flag`, { key, kind, note }, { as });

/** Of a skip or a flag; no claim when others have the task by now. */
export const takeBack = (claim: number) => post<{ claim: Claim | null }>(`/api/claims/${claim}/undo`);
export const undoRanking = (ranking: number) => post<{ claim: Claim }>(`/api/rankings/${ranking}/undo`);
export const reviseRanking = (ranking: number, submit: Submit, as?: number) =>
  post<RankingReceipt>(`/api/rankings/${ranking}/revisions`, submit, { as });
export const myRankings = (cursor: string | null, project = "", limit = 30) =>
  get<Page<RankingRow>>("/api/rankings/mine", { cursor, project, limit });
export const ranking = (id: number) => get<RankingDetail>(`/api/rankings/${id}`);
