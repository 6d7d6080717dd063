import { expect, test } from "vitest";
import { niceStep, scaleOf } from "./scale";

test("steps are round", () => {
  expect(niceStep(1, 4)).toBe(0.25);
  expect(niceStep(100, 5)).toBe(20);
  expect(niceStep(0.07, 4)).toBeCloseTo(0.02);
});

test("a scale holds its values with room at the ends", () => {
  const scale = scaleOf([900, 1100]);
  expect(scale.low).toBe(890);
  expect(scale.high).toBe(1110);
  expect(scale.ticks).toEqual([900, 1000, 1100]);
  expect(scale.at(1000)).toBe(50);
});

test("given limits are kept, and what lies beyond is held at the ends", () => {
  const scale = scaleOf([0.4], [0, 1]);
  expect(scale.ticks).toEqual([0, 0.25, 0.5, 0.75, 1]);
  expect(scale.at(1.4)).toBe(100);
  expect(scale.at(-1)).toBe(0);
});

test("one value and none have a scale too", () => {
  expect(scaleOf([2]).at(2)).toBeCloseTo(50);
  expect(scaleOf([]).ticks.length).toBeGreaterThan(1);
});
