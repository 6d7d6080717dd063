import type { Line } from "./inline";

const DELIMITER = /^ {0,3}\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)*\|?[ \t]*$/;

/** One cell: its text, and the bars before and (at the end of a row) after it. */
export interface Cell {
  before: string;
  text: string;
  after: string;
}

/** A head with bars over a line of dashes with as many cells. */
export function tableAt(lines: readonly Line[], at: number): boolean {
  const [head, delimiter] = [lines[at]?.text ?? "", lines[at + 1]?.text ?? ""];
  return head.includes("|") && DELIMITER.test(delimiter) && delimiter.includes("|") && cellsOf(head).length === cellsOf(delimiter).length;
}

/** The cells of a row; bars in code and after a backslash belong to the text. */
export function cellsOf(row: string): Cell[] {
  const bars: number[] = [];
  for (const found of row.matchAll(/\\.|(`+)(?!`)[^`]+\1(?!`)|\|/g)) if (found[0] === "|") bars.push(found.index);
  const texts: string[] = [];
  let from = 0;
  for (const bar of [...bars, row.length]) {
    texts.push(row.slice(from, bar));
    from = bar + 1;
  }
  const opens = texts.length > 1 && !texts[0]?.trim();
  if (opens) texts.shift();
  const closes = texts.length > 1 && !texts.at(-1)?.trim();
  if (closes) texts.pop();
  return texts.map((text, i) => ({
    before: i || opens ? "|" : "",
    text: text.trim(),
    after: closes && i === texts.length - 1 ? "|" : "",
  }));
}

export const alignments = (delimiter: string): string[] =>
  cellsOf(delimiter).map(({ text }) => (/^:.*:$/.test(text) ? "center" : text.endsWith(":") ? "right" : text.startsWith(":") ? "left" : ""));
