import type { PromptFilter, RoundSpec, ServedModel, Source } from "$lib/api/admin-types";
import type { ProjectDetail } from "$lib/api/types";
import { BOUNDS } from "$lib/api/bounds";

/** The project's model is followed: it may be another one when the round starts. */
export const modelChosen = (model: ServedModel): Pick<Source, "served_model" | "follows"> => ({
  served_model: model.id,
  follows: model.kind === "current",
});

/** Which of the models a source asks; the project's model has the id of what it is now. */
export const modelOf = (source: Source, models: readonly ServedModel[]): ServedModel | undefined =>
  models.find((model) => (source.follows ? model.kind === "current" : model.id === source.served_model && model.kind !== "current"));

export const newSource = (model: ServedModel): Source => ({
  ...modelChosen(model),
  weight: 1,
  temperature: 0.8,
  top_p: 0.95,
  max_tokens: 256,
});

/** A round over the prompts that the address asks for, judged as the project usually judges. */
export function newSpec(project: ProjectDetail, query: URLSearchParams): RoundSpec {
  const split = query.get("split");
  const prompts: PromptFilter = {
    tag: query.get("tag"),
    search: query.get("search") ?? "",
    sample: null,
    split: split === "held_out" || split === "all" ? (split === "all" ? null : split) : "train",
  };
  return { prompts, k: project.judging.k_default, overlap: project.overlap, sources: [] };
}

/** How many of K completions a source writes on average: "2", "1.3". */
export function shareOf(source: Source, sources: readonly Source[], k: number): number {
  const total = sources.reduce((sum, { weight }) => sum + weight, 0);
  return total > 0 ? Math.round((source.weight / total) * k * 10) / 10 : 0;
}

/** Whether the numbers are such that the server can estimate: fields in the middle of typing are not. */
export function complete({ k, overlap, sources, prompts }: RoundSpec): boolean {
  const within = ({ min, max }: { min: number; max: number }, value: number | null) => value !== null && value >= min && value <= max;
  const { SourceSpec: limits, RoundSpec: round } = BOUNDS;
  return (
    within(round.k, k) &&
    within(round.overlap, overlap) &&
    (prompts.sample === null || prompts.sample >= 1) &&
    sources.length > 0 &&
    sources.every(
      (source) =>
        within(limits.weight, source.weight) &&
        within(limits.temperature, source.temperature) &&
        within(limits.top_p, source.top_p) &&
        within(limits.max_tokens, source.max_tokens),
    )
  );
}
