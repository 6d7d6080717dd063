import { get, post, put } from "./client";
import type { Claim, ClaimAnswer, FlagKind, Page, ProjectDetail, Queue, RankingDetail, RankingReceipt, RankingRow, Submit } from "./types";

export const queues = () => get<{ results: Queue[] }>("/api/queues");
export const project = (slug: string) => get<ProjectDetail>(`/api/projects/${encodeURIComponent(slug)}`);

export const claimNext = (slug: string, have: readonly number[]) =>
  post<ClaimAnswer>(`/api/projects/${encodeURIComponent(slug)}/claims`, { have });
export const renewClaim = (claim: number) => post<{ expires_at: string }>(`/api/claims/${claim}/renew`);
export const releaseClaim = (claim: number) => post<void>(`/api/claims/${claim}/release`, {}, { keepalive: true });
export const saveDraft = (claim: number, body: unknown, as: number, keepalive = false) =>
  put<{ saved_at: string }>(`/api/claims/${claim}/draft`, { body }, { as, keepalive });

/** What may be sent long after it was said names whose it is (`as`, a user's id). */
export const submitRanking = (claim: number, submit: Submit, as: number) =>
  post<RankingReceipt>(`/api/claims/${claim}/ranking`, submit, { as });
export const skipClaim = (claim: number, key: string, reason: string, note: string, as: number) =>
  post<object>(`/api/claims/${claim}/skip`, { key, reason, note }, { as });
export const flagClaim = (claim: number, key: string, kind: FlagKind, note: string, as: number) =>
  post<object>(`/api/claims/${claim}/flag`, { key, kind, note }, { as });

export const undoRanking = (ranking: number) => post<{ claim: Claim }>(`/api/rankings/${ranking}/undo`);
export const reviseRanking = (ranking: number, submit: Submit, as?: number) =>
  post<RankingReceipt>(`/api/rankings/${ranking}/revisions`, submit, { as });
export const myRankings = (cursor: string | null, project = "", limit = 30) =>
  get<Page<RankingRow>>("/api/rankings/mine", { cursor, project, limit });
export const ranking = (id: number) => get<RankingDetail>(`/api/rankings/${id}`);
