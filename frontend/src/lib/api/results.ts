import type { ComparisonRow, SeenRanking } from "./admin-types";
import { address, get } from "./client";
import { EXPORTS } from "./exports";
import { projectPath } from "./projects";
import type { Page, RankingRow } from "./types";

/** What labelers said: rankings, the comparisons that follow, and the files made of them. */
export interface ResultQuery {
  round?: string | null;
  labeler?: string | null;
  search?: string | null;
}

/** Why some are left out for the reader, who may still judge them. */
export interface Incomplete {
  withheld: string | null;
}

export type ExportContent = keyof typeof EXPORTS;
export type ExportFormat = (typeof EXPORTS)[ExportContent]["formats"][number];

export const listRankings = (slug: string, query: ResultQuery, cursor: string | null) =>
  get<Incomplete & Page<RankingRow>>(`${projectPath(slug)}/rankings`, { ...query, cursor });

export const readRanking = (id: string | number) =>
  get<SeenRanking>(`/api/rankings/${encodeURIComponent(id)}`);

export const listComparisons = (slug: string, query: ResultQuery, cursor: string | null) =>
  get<Incomplete & Page<ComparisonRow>>(`${projectPath(slug)}/comparisons`, { ...query, cursor });

export const exportAddress = (
  slug: string,
  kind: ExportContent,
  format: ExportFormat,
  filter: { round: string | null; split: string | null },
) => address(`${projectPath(slug)}/export/${kind}.${format}`, filter);
