import { expect, test } from "vitest";
import type { Round } from "$lib/api/admin-types";
import { guessed, size } from "./size";

const counts = { prompts: 40, rounds: 2, members: 3, rankings: 20, comparisons: 110 };
const round = (number: number, k: number, done: number) =>
  ({ number, k, labeling: { done, extra: 0 }, generation: { completions: 40, tokens: 4000 } }) as Round;

test("without filters the rows are the project's", () => {
  expect(guessed("rankings", counts, [round(1, 4, 20)], { round: null, split: null }).rows).toBe(20);
});

test("a round has its own rankings, and a pair for every two of its K responses", () => {
  const rounds = [round(1, 4, 10), round(2, 3, 5)];
  expect(guessed("rankings", counts, rounds, { round: "2", split: null }).rows).toBe(5);
  expect(guessed("comparisons", counts, rounds, { round: "1", split: null }).rows).toBe(60);
});

test("nothing is said of bytes when nothing is known of the texts", () => {
  expect(guessed("comparisons", counts, [], { round: null, split: null })).toEqual({ rows: 110, bytes: null });
});

test.each([
  [0, "0 B"],
  [999, "999 B"],
  [1_234, "1.2 kB"],
  [45_600_000, "46 MB"],
])("%d bytes are %s", (bytes, text) => expect(size(bytes)).toBe(text));
