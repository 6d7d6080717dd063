import { expect, it } from "vitest";
import { commandFor } from "./keys";

const press = (key: string, more = {}) => ({ key, code: "", shiftKey: false, ctrlKey: false, metaKey: false, altKey: false, ...more });
const four = ["A", "B", "C", "D"];
const seven = [..."ABCDEFG"];

it("letters of responses place them, in either case", () => {
  expect(commandFor(press("b"), four, false)).toEqual({ do: "place", label: "B" });
  expect(commandFor(press("B", { shiftKey: true }), four, false)).toEqual({ do: "place", label: "B" });
});
it("f and g are commands until a response has that letter; Shift is always the command", () => {
  expect(commandFor(press("f"), four, false)).toEqual({ do: "flag" });
  expect(commandFor(press("f"), seven, false)).toEqual({ do: "place", label: "F" });
  expect(commandFor(press("F", { shiftKey: true }), seven, false)).toEqual({ do: "flag" });
  expect(commandFor(press("G", { shiftKey: true }), seven, false)).toEqual({ do: "guidelines" });
});
it("leaves shortcuts of the browser alone", () => {
  expect(commandFor(press("r", { ctrlKey: true }), four, false)).toBeNull();
  expect(commandFor(press("Tab"), four, false)).toBeNull();
});
it("understands other keyboard layouts by position", () => {
  expect(commandFor(press("ф", { code: "KeyA" }), four, false)).toEqual({ do: "place", label: "A" });
});
it("figures are strengths only where the project asks", () => {
  expect(commandFor(press("2"), four, true)).toEqual({ do: "strength", value: 2 });
  expect(commandFor(press("0"), four, true)).toEqual({ do: "strength", value: null });
  expect(commandFor(press("2"), four, false)).toBeNull();
});
