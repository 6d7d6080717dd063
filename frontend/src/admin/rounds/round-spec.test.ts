import { expect, test } from "vitest";
import type { RoundSpec, ServedModel, Source } from "$lib/api/admin-types";
import { complete, modelOf, newSource, shareOf } from "./round-spec";

const source = (weight: number, more: Partial<Source> = {}): Source => ({
  served_model: 1,
  follows: false,
  weight,
  temperature: 0.8,
  top_p: 0.95,
  max_tokens: 256,
  ...more,
});

const spec = (more: Partial<RoundSpec> = {}): RoundSpec => ({
  prompts: { tag: null, search: "", sample: null, split: "train" },
  k: 4,
  overlap: 1,
  sources: [source(1)],
  ...more,
});

test("shares of K completions follow the weights", () => {
  const sources = [source(2), source(1)];
  expect(sources.map((each) => shareOf(each, sources, 4))).toEqual([2.7, 1.3]);
  expect(shareOf(source(1), [source(1)], 9)).toBe(9);
  expect(shareOf(source(0), [source(0)], 9)).toBe(0);
});

test("a specification is complete when every number is in its range", () => {
  expect(complete(spec())).toBe(true);
  expect(complete(spec({ k: 10 }))).toBe(false);
  expect(complete(spec({ overlap: 0 }))).toBe(false);
  expect(complete(spec({ sources: [] }))).toBe(false);
  expect(complete(spec({ sources: [source(1, { temperature: 2.1 })] }))).toBe(false);
  expect(complete(spec({ prompts: { tag: null, search: "", sample: 0, split: null } }))).toBe(false);
});

test("the project's model is followed, a model by its name is not", () => {
  const base: ServedModel = { id: 1, name: "base", kind: "base", means: "", available: true, message: "" };
  const current: ServedModel = { ...base, name: "tone/current", kind: "current", means: "base" };
  const models = [current, base];
  expect(newSource(current)).toMatchObject({ served_model: 1, follows: true });
  expect(newSource(base)).toMatchObject({ served_model: 1, follows: false });
  expect(modelOf(newSource(current), models)).toBe(current);
  expect(modelOf(newSource(base), models)).toBe(base);
  expect(modelOf({ ...newSource(base), served_model: 7 }, models)).toBeUndefined();
});
