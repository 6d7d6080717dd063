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
it("takes the position where the key writes two characters, or the browser cannot tell what", () => {
  for (const key of ["لا", "ﻻ", "Unidentified", "Dead", "Process", "", "β", "ㅠ"])
    expect(commandFor(press(key, { code: "KeyB" }), four, false), key).toEqual({ do: "place", label: "B" });
  expect(commandFor(press("لآ", { code: "KeyB", shiftKey: true }), four, false)).toEqual({ do: "place", label: "B" });
  expect(commandFor(press("Unidentified", { code: "KeyX" }), four, false)).toEqual({ do: "unacceptable" });
  expect(commandFor(press("Unidentified"), four, false)).toBeNull();
  expect(commandFor(press("؟", { code: "Slash", shiftKey: true }), four, false)).toEqual({ do: "keys" });
});
it("takes keys that say what they are at their word, wherever they are", () => {
  const five = [...four, "E"];
  for (const key of ["Tab", "Home", "F5", "CapsLock", "AudioVolumeUp", "Compose"])
    expect(commandFor(press(key, { code: "KeyB" }), five, true), key).toBeNull();
  expect(commandFor(press(".", { code: "KeyE" }), five, false)).toBeNull(); // Dvorak
  expect(commandFor(press("a", { code: "KeyQ" }), five, false)).toEqual({ do: "place", label: "A" }); // French
  expect(commandFor(press(" ", { code: "Space" }), five, true)).toBeNull();
});
it("figures by position where the key writes another character without Shift", () => {
  expect(commandFor(press("&", { code: "Digit1" }), four, true)).toEqual({ do: "strength", value: 1 });
  expect(commandFor(press("٢", { code: "Digit2" }), four, true)).toEqual({ do: "strength", value: 2 });
  expect(commandFor(press("à", { code: "Digit0" }), four, true)).toEqual({ do: "strength", value: null });
  expect(commandFor(press("!", { code: "Digit1", shiftKey: true }), four, true)).toBeNull();
  expect(commandFor(press("=", { code: "Digit0", shiftKey: true }), four, true)).toEqual({ do: "tie" }); // German
  expect(commandFor(press("5", { code: "Digit1" }), four, true)).toBeNull();
});
it("figures are strengths only where the project asks", () => {
  expect(commandFor(press("2"), four, true)).toEqual({ do: "strength", value: 2 });
  expect(commandFor(press("0"), four, true)).toEqual({ do: "strength", value: null });
  expect(commandFor(press("2"), four, false)).toBeNull();
});
