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

/** One text of a row: where it stands, and who speaks if the row says so. */
export interface RowText {
  name: string;
  text: string;
}

const TEXTS = new Set(["content", "text", "prompt", "completion", "chosen", "rejected", "rationale", "reason"]);

/** The texts of a row as people wrote and read them; in JSON their line breaks are signs. */
export function textsOf(row: unknown, place = ""): RowText[] {
  if (Array.isArray(row)) return row.flatMap((each, i) => textsOf(each, row.length > 1 ? `${place} ${i + 1}` : place));
  if (typeof row !== "object" || row === null) return [];
  const { role } = row as { role?: unknown };
  return Object.entries(row).flatMap(([key, value]) => {
    if (typeof value !== "string") return textsOf(value, place ? `${place} · ${key}` : key);
    if (!TEXTS.has(key) || !value.trim()) return [];
    const whose = typeof role === "string" ? role : key;
    return [{ name: place ? `${place} · ${whose}` : whose, text: value }];
  });
}
