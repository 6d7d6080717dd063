import { expect, test } from "vitest";
import { aboutRow, rowsIn } from "./rows";

test("a row is named by what the user said last", () => {
  expect(aboutRow({ prompt: [{ role: "user", content: "Why?" }] })).toBe("Why?");
  expect(aboutRow({ prompt: "Why?" })).toBe("Why?");
  expect(aboutRow({ other: 1 })).toBe('{"other":1}');
});

test("rows are in the files of lines", () => {
  expect(rowsIn("held_out/rankings.jsonl")).toEqual({ side: "held_out", kind: "rankings" });
  expect(rowsIn("README.md")).toBeNull();
});
