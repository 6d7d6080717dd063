import type { LoopEvent, Stage, StepDetail } from "$lib/api/loop-types";

/** What a step did and will do, stage after stage. */
export interface Entry {
  stage: Stage;
  state: "done" | "now" | "held" | "failed" | "stopped" | "later";
  text: string;
  seconds: number | null;
  events: readonly LoopEvent[];
  /** Whether it is the last time that the step was in this stage: what it made belongs here. */
  last: boolean;
}

const ENDS = { failed: "failed", canceled: "stopped", paused: "held", running: "now", done: "done" } as const;

/** Events of one stage that follow each other, in groups. */
function grouped(events: readonly LoopEvent[]): LoopEvent[][] {
  const groups: LoopEvent[][] = [];
  for (const event of events) {
    const group = groups.at(-1);
    if (group?.[0]?.stage === event.stage) group.push(event);
    else groups.push([event]);
  }
  return groups;
}

export function entries(step: StepDetail): Entry[] {
  const groups = grouped(step.events);
  const been = step.stages.map(({ stage, text, seconds }, i): Entry => {
    const events = groups[i] ?? [];
    const end = i === step.stages.length - 1;
    return {
      stage,
      state: end ? ENDS[step.state] : "done",
      text: (end && step.state === "failed" ? step.message : text) || events.at(-1)?.text || "",
      seconds,
      events,
      last: step.stages.findLastIndex((each) => each.stage === stage) === i,
    };
  });
  return [...been, ...ahead(step).map((stage): Entry => ({ stage, state: "later", text: "", seconds: null, events: [], last: true }))];
}

/** Stages that are still to come, as the step's policy has them; none once it has ended. */
function ahead({ state, stages, stage, flow }: StepDetail): Stage[] {
  if (state === "done" || state === "canceled") return [];
  const last = stages.at(-1)?.stage ?? stage;
  const now = flow.findIndex((each) => each.stage === last);
  return flow.slice(stages.length ? now + 1 : now).filter(({ wanted }) => wanted).map(({ stage }) => stage);
}
