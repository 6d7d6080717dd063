import { get, getText, post } from "./client";
import type {
  AdapterDetail,
  AdapterRow,
  AnswerPair,
  EvaluationDetail,
  EvaluationRow,
  EvaluationSettings,
  LeaderboardReport,
  Promotion,
  ServingReport,
  Stale,
} from "./model-types";
import { projectPath } from "./projects";
import type { Page } from "./types";

/** The project's model: adapters, evaluations, promotions, what is served, the leaderboard. */
type Number = string | number;
const one = (slug: string, kind: string, number: Number) => `${projectPath(slug)}/${kind}/${encodeURIComponent(number)}`;

export const listAdapters = (slug: string, cursor: string | null = null, limit?: number) =>
  get<Page<AdapterRow>>(`${projectPath(slug)}/adapters`, { cursor, limit });

export const getAdapter = (slug: string, number: Number) => get<AdapterDetail>(one(slug, "adapters", number));

export const adapterFile = (slug: string, number: Number, name: string) =>
  `${one(slug, "adapters", number)}/files/${name.split("/").map(encodeURIComponent).join("/")}`;

export const readCard = (slug: string, number: Number) => getText(`${one(slug, "adapters", number)}/card`);

export const getEvaluation = (slug: string, number: Number) => get<EvaluationDetail>(one(slug, "evaluations", number));

export const listEvaluations = (slug: string, cursor: string | null = null) =>
  get<Page<EvaluationRow>>(`${projectPath(slug)}/evaluations`, { cursor });

export interface NewEvaluation {
  candidate: number;
  incumbent: number | null;
  judge: number | null;
  settings: EvaluationSettings;
}
export const createEvaluation = (slug: string, values: NewEvaluation) =>
  post<EvaluationDetail>(`${projectPath(slug)}/evaluations`, values);

export const actOnEvaluation = (slug: string, number: Number, action: "cancel" | "retry") =>
  post<EvaluationDetail>(`${one(slug, "evaluations", number)}/${action}`);

export const listAnswers = (slug: string, number: Number, cursor: string | null) =>
  get<Page<AnswerPair>>(`${one(slug, "evaluations", number)}/answers`, { cursor, limit: 10 });

export const listPromotions = (slug: string, cursor: string | null = null) =>
  get<Page<Promotion>>(`${projectPath(slug)}/promotions`, { cursor });

export interface NewPromotion {
  adapter: number | null;
  evaluation: number | null;
  reason: string;
  stale: Stale;
}
export const promote = (slug: string, values: NewPromotion) =>
  post<Promotion>(`${projectPath(slug)}/promotions`, values);

export const rollBack = (slug: string, values: { reason: string; stale: Stale }) =>
  post<Promotion>(`${projectPath(slug)}/promotions/roll-back`, values);

export const getServing = (slug: string) => get<ServingReport>(`${projectPath(slug)}/serving`);

export const getLeaderboard = (slug: string) =>
  get<LeaderboardReport>(`${projectPath(slug)}/leaderboard`, undefined, { timeoutMs: 60_000 });
