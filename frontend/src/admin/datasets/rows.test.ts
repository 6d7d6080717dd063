import { expect, test } from "vitest";
import { aboutRow, rowsIn, textsOf } from "./rows";

test("a row is named by what the user said last", () => {
  expect(aboutRow({ prompt: [{ role: "user", content: "Why?" }] })).toBe("Why?");
  expect(aboutRow({ prompt: "Why?" })).toBe("Why?");
  expect(aboutRow({ other: 1 })).toBe('{"other":1}');
});

test("rows are in the files of lines", () => {
  expect(rowsIn("held_out/rankings.jsonl")).toEqual({ side: "held_out", kind: "rankings" });
  expect(rowsIn("README.md")).toBeNull();
});

test("the texts of a row are found wherever they stand, with who says them", () => {
  const row = { id: "x", prompt: [{ role: "user", content: "Why?\nWhy not?" }], responses: [{ text: "A", model: "m" }, { text: "B" }], margin: 1 };
  expect(textsOf(row)).toEqual([
    { name: "prompt · user", text: "Why?\nWhy not?" },
    { name: "responses 1 · text", text: "A" },
    { name: "responses 2 · text", text: "B" },
  ]);
  expect(textsOf({ prompt: "Why?", chosen: "", label: "no" })).toEqual([{ name: "prompt", text: "Why?" }]);
});
