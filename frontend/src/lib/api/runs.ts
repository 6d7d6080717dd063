import { get, getText, post } from "./client";
import { projectPath } from "./projects";
import type { KeptRollouts, MetricPage, NewRun, RolloutDetail, RolloutOrder, RolloutRow, RunAction, RunDetail, RunEstimate, RunOptions, RunRow } from "./run-types";
import type { Page } from "./types";

type Number = string | number;
const runs = (slug: string) => `${projectPath(slug)}/runs`;
const one = (slug: string, number: Number) => `${runs(slug)}/${encodeURIComponent(number)}`;

export const listRuns = (slug: string, cursor: string | null = null, snapshot?: Number) =>
  get<Page<RunRow>>(runs(slug), { cursor, snapshot });

export const getRun = (slug: string, number: Number) => get<RunDetail>(one(slug, number));

export const createRun = (slug: string, values: NewRun) => post<RunDetail>(runs(slug), values, { timeoutMs: 120_000 });

export const actOnRun = (slug: string, number: Number, action: RunAction) =>
  post<RunDetail>(`${one(slug, number)}/${action}`);

/** A process of its own reads the base's configuration: that takes seconds. */
export const estimateRun = (slug: string, values: NewRun, signal?: AbortSignal) =>
  post<RunEstimate>(`${runs(slug)}/estimate`, values, { timeoutMs: 120_000, ...(signal ? { signal } : {}) });

/** What a new run may be asked for; with a snapshot, which methods find something to learn in it. */
export const runOptions = (slug: string, snapshot: Number | null) =>
  get<RunOptions>(`${runs(slug)}/options`, { snapshot });

/** Lines of metrics behind a position, thinned out to `points`. */
export const getMetrics = (slug: string, number: Number, after: number | null, points: number) =>
  get<MetricPage>(`${one(slug, number)}/metrics`, { after, points });

export const readLog = (slug: string, number: Number) => getText(`${one(slug, number)}/log`);

/** Of a page: it is in the middle of another one. */
const ROLLOUTS = 20;

/** What the policy answered while it learned; of one step, or of all that are kept. */
export const listRollouts = (slug: string, number: Number, query: { step: Number | null; order: RolloutOrder }, cursor: string | null) =>
  get<Page<RolloutRow>>(`${one(slug, number)}/rollouts`, { ...query, cursor, limit: ROLLOUTS });

export const keptRollouts = (slug: string, number: Number) => get<KeptRollouts>(`${one(slug, number)}/rollouts/kept`);

export const getRollout = (slug: string, number: Number, id: Number) =>
  get<RolloutDetail>(`${one(slug, number)}/rollouts/${encodeURIComponent(id)}`);
