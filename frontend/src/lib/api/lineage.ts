import { get, post } from "./client";
import type { Lineage, Rebuild, Touched, TouchedQuery } from "./model-types";
import { projectPath } from "./projects";
import type { Page } from "./types";

/** Where a model comes from, and what a labeler or a round has touched. */
export const getLineage = (slug: string) => get<Lineage>(`${projectPath(slug)}/lineage`);

export const getTouched = (slug: string, query: TouchedQuery) =>
  get<Touched>(`${projectPath(slug)}/lineage/touched`, { ...query });

export const retract = (slug: string, values: TouchedQuery & { reason: string }) =>
  post<{ rankings: number; touched: Touched }>(`${projectPath(slug)}/retractions`, values);

export const listRebuilds = (slug: string, cursor: string | null = null) =>
  get<Page<Rebuild>>(`${projectPath(slug)}/lineage/rebuild`, { cursor });

export const rebuildWithout = (
  slug: string,
  values: { adapter: number; exclude_labelers: string[]; exclude_rounds: number[] },
) => post<Rebuild>(`${projectPath(slug)}/lineage/rebuild`, values);
