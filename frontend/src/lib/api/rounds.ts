import type { Estimate, Replica, Round, RoundAction, RoundDetail, RoundSpec, ServedModel } from "./admin-types";
import { get, post } from "./client";
import { projectPath } from "./projects";
import type { Page } from "./types";

export const listModels = async (slug: string) =>
  (await get<{ results: ServedModel[] }>(`${projectPath(slug)}/models`)).results;

export const estimateRound = (slug: string, spec: RoundSpec, signal?: AbortSignal) =>
  post<Estimate>(`${projectPath(slug)}/rounds/estimate`, spec, signal ? { signal } : {});

export const createRound = (slug: string, spec: RoundSpec, start: boolean) =>
  post<RoundDetail>(`${projectPath(slug)}/rounds`, { ...spec, start });

export const listRounds = (slug: string, cursor: string | null = null) =>
  get<Page<Round>>(`${projectPath(slug)}/rounds`, { cursor });

export const getRound = (slug: string, number: string | number) =>
  get<RoundDetail>(`${projectPath(slug)}/rounds/${encodeURIComponent(number)}`);

export const actOnRound = (slug: string, number: string | number, action: RoundAction) =>
  post<RoundDetail>(`${projectPath(slug)}/rounds/${encodeURIComponent(number)}/${action}`);

export const getInference = () => get<{ replicas: Replica[] }>("/api/inference");
