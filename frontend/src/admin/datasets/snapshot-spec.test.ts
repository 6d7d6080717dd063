import { expect, test } from "vitest";
import { complete, localInput, moment, newSpec } from "./snapshot-spec";

test("a local time goes to the server with its zone and comes back", () => {
  const iso = moment("2026-03-01T09:30");
  expect(iso).toMatch(/Z$/);
  expect(localInput(iso)).toBe("2026-03-01T09:30");
  expect(moment("")).toBeNull();
  expect(localInput(null)).toBe("");
});

test("a choice is complete when its numbers and its times can be", () => {
  expect(complete(newSpec())).toBe(true);
  expect(complete({ ...newSpec(), minimum_overlap: 0 })).toBe(false);
  expect(complete({ ...newSpec(), since: moment("2026-03-02T00:00"), until: moment("2026-03-01T00:00") })).toBe(false);
});
