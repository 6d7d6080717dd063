import type { ImportFormat } from "$lib/api/admin-types";

/** Examples that can be imported as they stand. */
export const EXAMPLES: Record<ImportFormat, string> = {
  jsonl: [
    '{"prompt": "Explain photosynthesis to a ten-year-old.", "tags": ["science"], "id": "bio-1"}',
    '{"messages": [{"role": "system", "content": "Answer in one sentence."}, {"role": "user", "content": "Why is the sky blue?"}]}',
    '{"prompt": "What does the note say about opening hours?", "documents": [{"title": "Note", "text": "Open from 9 to 17."}]}',
  ].join("\n"),
  csv: [
    "prompt,system,id,tags",
    '"Write a polite reminder, two sentences.",,mail-1,writing;mail',
    '"What is ""recursion""?",Answer in one sentence.,cs-1,programming',
  ].join("\n"),
};

/** From the name of a file, or from how its text begins: JSON lines begin with a brace. */
export function formatOf(name: string, text = ""): ImportFormat {
  const ending = name.toLowerCase().split(".").pop() ?? "";
  if (["csv", "tsv"].includes(ending)) return "csv";
  if (["jsonl", "ndjson", "json"].includes(ending)) return "jsonl";
  return /^\s*(\{|$)/.test(text) ? "jsonl" : "csv";
}

const quoted = (value: string | number) => `"${String(value).replaceAll('"', '""')}"`;

/** The refused lines as CSV; a cell never begins like a formula, so that a spreadsheet shows it only. */
export function problemsAsCsv(problems: readonly { line: number; reason: string; excerpt: string }[]): string {
  const cell = (text: string) => quoted(/^[=+\-@\t\r]/.test(text) ? `'${text}` : text);
  const rows = problems.map(({ line, reason, excerpt }) => [quoted(line), cell(reason), cell(excerpt)].join(","));
  return ["line,reason,excerpt", ...rows].join("\r\n") + "\r\n";
}
