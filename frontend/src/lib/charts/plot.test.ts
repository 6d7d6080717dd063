import { expect, test } from "vitest";
import { labelsOf } from "./plot";

test("ticks that are written alike are written once", () => {
  const written = (gb: number) => `${gb.toFixed(1)} GB`;
  expect(labelsOf([2.89, 2.9, 2.91, 2.96], written)).toEqual(["2.9 GB", "", "", "3.0 GB"]);
  expect(labelsOf([null, 1, 2], written)).toEqual(["", "1.0 GB", "2.0 GB"]);
});
