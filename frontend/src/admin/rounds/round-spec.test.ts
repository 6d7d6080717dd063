import { expect, test } from "vitest";
import type { RoundSpec, Source } from "$lib/api/admin-types";
import { complete, shareOf } from "./round-spec";

const source = (weight: number, more: Partial<Source> = {}): Source => ({
  served_model: 1,
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
