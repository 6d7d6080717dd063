import { expect, test } from "vitest";
import { aboveZero, outlineOf, tableOf, valueAt, type Line } from "./lines";

const line: Line = { key: "loss", label: "Loss", values: [0.7, null, 0.3, 0.4] };
const steps = [1, 2, 3, 5];

test("an outline has the ends and the extremes of a line", () => {
  expect(outlineOf(steps, line)).toEqual({
    label: "Loss",
    first: 0.7,
    last: 0.4,
    lowest: 0.3,
    lowestAt: 3,
    highest: 0.7,
    highestAt: 1,
  });
  expect(outlineOf(steps, { ...line, values: [null, null, null, null] })).toBeNull();
});

test("a table has a row for each x", () => {
  expect(tableOf(steps, "Step", [line])).toEqual({
    columns: [
      { title: "Step", numeric: true },
      { title: "Loss", numeric: true },
    ],
    rows: [
      [1, 0.7],
      [2, null],
      [3, 0.3],
      [5, 0.4],
    ],
  });
});

test("between two values the earlier one holds", () => {
  expect(valueAt(line, 1)).toBe(0.7);
  expect(valueAt(line, 9)).toBe(0.4);
  expect(valueAt({ ...line, values: [null] }, 0)).toBeNull();
});

test("a logarithmic scale leaves out zero and below", () => {
  expect(aboveZero([1, 0, -2, null])).toEqual([1, null, null, null]);
});
