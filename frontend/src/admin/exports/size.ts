import type { Round } from "$lib/api/admin-types";
import type { ExportContent } from "$lib/api/results";
import type { ProjectDetail } from "$lib/api/types";
import { number } from "$lib/format";

/** One prompt in ten is held out, chosen by the hash of its text. */
const HELD_OUT = 0.1;
const BYTES_PER_TOKEN = 4.2;
/** Prompt, ids, names and punctuation of a row; and those of each completion in a ranking. */
const ROW_BYTES = 700;
const COMPLETION_BYTES = 280;

/** Rows of a file and its size as JSONL, from what the rounds say of themselves; to be read as "about". */
export function guessed(
  kind: ExportContent,
  counts: ProjectDetail["counts"],
  rounds: readonly Round[],
  { round, split }: { round: string | null; split: string | null },
): { rows: number; bytes: number | null } {
  const chosen = round ? rounds.filter((each) => String(each.number) === round) : rounds;
  const part = split === "held_out" ? HELD_OUT : split === "train" ? 1 - HELD_OUT : 1;
  const rows = Math.round((round && chosen.length ? rowsOf(kind, chosen) : counts[kind]) * part);
  const written = chosen.reduce((sum, { generation }) => sum + generation.completions, 0);
  const tokens = chosen.reduce((sum, { generation }) => sum + generation.tokens, 0);
  if (!written) return { rows, bytes: null };
  const text = (tokens / written) * BYTES_PER_TOKEN;
  const k = chosen.reduce((sum, each) => sum + each.k * each.generation.completions, 0) / written;
  const bytes = kind === "comparisons" ? ROW_BYTES + 2 * text : ROW_BYTES + k * (text + COMPLETION_BYTES);
  return { rows, bytes: rows * bytes };
}

function rowsOf(kind: ExportContent, rounds: readonly Round[]): number {
  return rounds.reduce((sum, { labeling, k }) => {
    const rankings = labeling.done + labeling.extra;
    return sum + rankings * (kind === "rankings" ? 1 : (k * (k - 1)) / 2);
  }, 0);
}

/** "300 kB", "1.2 GB": one or two digits that matter. */
export function size(bytes: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"];
  const step = Math.min(units.length - 1, Math.max(0, Math.floor(Math.log10(Math.max(1, bytes)) / 3)));
  const value = bytes / 1000 ** step;
  return `${number(value, value < 10 ? 1 : 0)} ${units[step]}`;
}
