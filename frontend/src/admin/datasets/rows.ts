const LINES = /^(train|held_out)\/(\w+)\.jsonl$/;

/** Which rows a file holds; null for one that holds none. */
export function rowsIn(name: string): { side: string; kind: string } | null {
  const [, side, kind] = LINES.exec(name) ?? [];
  return side && kind ? { side, kind } : null;
}

/** What a row is about: the last thing the user said. */
export function aboutRow(row: Readonly<Record<string, unknown>>): string {
  const { prompt } = row;
  const said = Array.isArray(prompt) ? (prompt.at(-1) as { content?: unknown } | undefined)?.content : prompt;
  return (typeof said === "string" ? said : JSON.stringify(row)).slice(0, 160);
}
