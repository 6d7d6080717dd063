import { expect, test } from "vitest";
import { EXAMPLES, formatOf, problemsAsCsv } from "./formats";

test.each([
  ["prompts.jsonl", "", "jsonl"],
  ["PROMPTS.CSV", "", "csv"],
  ["", '{"prompt": "x"}', "jsonl"],
  ["", "prompt,id\nx,1", "csv"],
  ["prompts.txt", '\n {"prompt"', "jsonl"],
])("%s with %j is %s", (name, text, format) => expect(formatOf(name, text)).toBe(format));

test("every line of the JSONL example is an object", () => {
  for (const line of EXAMPLES.jsonl.split("\n")) expect(JSON.parse(line)).toBeTypeOf("object");
});

test("refused lines are quoted, and no cell begins like a formula", () => {
  const csv = problemsAsCsv([{ line: 3, reason: 'Close the "quote".', excerpt: "=cmd()" }]);
  expect(csv).toBe('line,reason,excerpt\r\n"3","Close the ""quote"".","\'=cmd()"\r\n');
});
