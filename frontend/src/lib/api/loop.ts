import { get, post, put } from "./client";
import type { LoopAction, LoopOverview, LoopSettings, StepDetail, StepRow } from "./loop-types";
import { projectPath } from "./projects";
import type { Page } from "./types";

/** The loop of a project: when it turns, what a turn does, what the turns did. */
export const getLoop = (slug: string) => get<LoopOverview>(`${projectPath(slug)}/loop`);

export const savePolicy = (slug: string, settings: LoopSettings, active: boolean, base: string) =>
  put<LoopOverview>(`${projectPath(slug)}/loop`, { settings, active, base });

/** On the last step; "step" begins one. */
export const actOnLoop = (slug: string, action: LoopAction) => post<StepDetail>(`${projectPath(slug)}/loop/${action}`);

export const listSteps = (slug: string, cursor: string | null) =>
  get<Page<StepRow>>(`${projectPath(slug)}/loop/steps`, { cursor });

export const getStep = (slug: string, number: string | number) =>
  get<StepDetail>(`${projectPath(slug)}/loop/steps/${encodeURIComponent(number)}`);
