import { expect, it } from "vitest";
import { ActiveTime } from "./active-time";

it("counts what lies between two actions", () => {
  const time = new ActiveTime();
  time.touch(1_000);
  time.touch(6_000);
  expect(time.read(8_000)).toBe(7_000);
});
it("counts thirty seconds of a long pause at most", () => {
  const time = new ActiveTime();
  time.touch(0);
  expect(time.read(600_000)).toBe(30_000);
  time.touch(600_000);
  expect(time.read(601_000)).toBe(31_000);
  expect(time.isActive(601_000, 60_000)).toBe(true);
  expect(time.isActive(700_000, 60_000)).toBe(false);
});
it("does not count while the page is hidden", () => {
  const time = new ActiveTime(500);
  time.touch(0);
  time.pause(2_000);
  time.touch(9_000);
  expect(time.read(10_000)).toBe(3_500);
});
