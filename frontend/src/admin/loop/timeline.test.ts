import { expect, test } from "vitest";
import type { LoopEvent, Stage, StepDetail, Stretch } from "$lib/api/loop-types";
import { newSettings } from "./policy-values";
import { entries } from "./timeline";

const event = (position: number, stage: Stage, text: string): LoopEvent => ({ position, stage, text, at: "2026-01-01T00:00:00Z" });
const stretch = (stage: Stage, text: string, ended = true): Stretch => ({
  stage,
  text,
  began_at: "2026-01-01T00:00:00Z",
  ended_at: ended ? "2026-01-01T00:01:00Z" : null,
  seconds: 60,
});
const flow = (...left: Stage[]): StepDetail["flow"] =>
  (["snapshot", "judge", "train", "evaluate", "gate", "humans", "promote", "round"] as const).map((stage) => ({ stage, wanted: !left.includes(stage), made: [] }));
const step = (more: Partial<StepDetail>): StepDetail => ({
  number: 1,
  state: "running",
  stage: "train",
  cause: "",
  waiting_for: "",
  message: "",
  promoted: null,
  asks: false,
  snapshot: 1,
  judge_run: null,
  judge: null,
  run: 2,
  candidate: null,
  candidate_standing: null,
  evaluation: null,
  ab_round: null,
  promotion: null,
  round: null,
  created_by: null,
  created_at: "2026-01-01T00:00:00Z",
  finished_at: null,
  settings: newSettings(),
  flow: flow("humans"),
  incumbent: null,
  events: [event(0, "snapshot", "Snapshot 1 is to be built."), event(1, "snapshot", "Snapshot 1 is ready.")],
  stages: [stretch("snapshot", "Snapshot 1 is ready."), stretch("train", "Run 2: step 3 of 8.", false)],
  verdicts: [],
  warnings: [],
  ab: null,
  ...more,
});

test("what was done, what is being done, and what will be", () => {
  const found = entries(step({}));
  expect(found.map(({ stage, state }) => `${stage} ${state}`)).toEqual([
    "snapshot done",
    "train now",
    "evaluate later",
    "gate later",
    "promote later",
    "round later",
  ]);
  expect(found[0]?.events).toHaveLength(2);
  expect(found[1]?.text).toBe("Run 2: step 3 of 8.");
});

test("people compare only where the policy asks them", () => {
  expect(entries(step({ flow: flow("round") })).slice(2).map(({ stage }) => stage)).toEqual(["evaluate", "gate", "humans", "promote"]);
});

test("a step that failed says why where it failed; one that is over has nothing ahead", () => {
  const failed = entries(step({ state: "failed", message: "Run 2 failed: no memory." }));
  expect(failed[1]).toMatchObject({ state: "failed", text: "Run 2 failed: no memory." });
  expect(entries(step({ state: "canceled" })).map(({ state }) => state)).toEqual(["done", "stopped"]);
  expect(entries(step({ state: "paused" }))[1]?.state).toBe("held");
});

test("what a stage made belongs to the last time it was gone through", () => {
  const stages = [stretch("evaluate", "a"), stretch("gate", "b"), stretch("evaluate", "c", false)];
  expect(entries(step({ stages, events: [] })).filter(({ stage }) => stage === "evaluate").map(({ last }) => last)).toEqual([false, true]);
});

test("a step that has not begun has all of it ahead", () => {
  expect(entries(step({ stages: [], events: [], stage: "snapshot" })).map(({ state }) => state)).toEqual(Array(7).fill("later"));
});
