import type { components } from "./schema";

/** Shapes of the loop: its policy, its steps. */
type Schemas = components["schemas"];

/** The server fills in what is left out: what it says is whole. */
type Whole<T> = T extends object ? { [Name in keyof T]-?: Whole<T[Name]> } : T;

export type LoopSettings = Whole<Omit<Schemas["LoopSettingsShape"], "run" | "judge">> & {
  run: Whole<Omit<Schemas["LoopRun"], "values">> & { values: Values };
  judge: Whole<Omit<Schemas["LoopJudge"], "values">> & { values: Values };
};
/** Part of a run's specification, by section. */
type Values = Record<string, unknown>;
export type Aggregation = LoopSettings["snapshot"]["aggregation"];

export type Stage = Schemas["LoopStageEnum"];
export type StepRow = Schemas["LoopStepRow"];
export type LoopEvent = Schemas["LoopEventShape"];
/** The time that a step spent in one stage. */
export type Stretch = Schemas["LoopStretch"];
export type Comparing = Schemas["LoopComparing"];
export type StepDetail = Omit<Schemas["LoopStepDetail"], "settings"> & { settings: LoopSettings };
export type LoopOverview = Omit<Schemas["LoopOverview"], "settings"> & { settings: LoopSettings };
export type LoopAction = "step" | "pause" | "resume" | "cancel" | "retry" | "approve" | "reject";
