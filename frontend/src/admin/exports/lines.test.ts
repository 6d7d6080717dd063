import { expect, test } from "vitest";
import { curlLine, fileName, loadLine } from "./lines";

test("file names say what is in them", () => {
  expect(fileName("example", "comparisons", "jsonl", null, null)).toBe("example-comparisons.jsonl");
  expect(fileName("example", "rankings", "parquet", "3", "train")).toBe("example-round-3-train-rankings.parquet");
});

test("the line for Python names the reader of the format", () => {
  expect(loadLine("a.jsonl", "jsonl")).toContain('load_dataset("json", data_files="a.jsonl"');
  expect(loadLine("a.parquet", "parquet")).toContain('load_dataset("parquet"');
});

test("the line for the shell asks for the filtered file and names no token", () => {
  const line = curlLine("https://prefloop.test", "example", "2", null);
  expect(line).toContain('"https://prefloop.test/api/projects/example/export/comparisons.parquet?round=2"');
  expect(line).toContain("$PREFLOOP_TOKEN");
});
