import type { SnapshotSpec } from "$lib/api/snapshots";

export const newSpec = (): SnapshotSpec => ({
  rounds: [],
  since: null,
  until: null,
  labelers: [],
  minimum_overlap: 1,
  flagged: false,
  aggregation: "every",
  weight: "ranking",
  excluded_rounds: [],
  excluded_labelers: [],
});

/** A moment as a field for local time takes it, "2026-03-01T09:30"; empty for none. */
export function localInput(iso: string | null): string {
  if (!iso) return "";
  const at = new Date(iso);
  const two = (value: number) => String(value).padStart(2, "0");
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}T${two(at.getHours())}:${two(at.getMinutes())}`;
}

/** And back: with its place in time, as the server wants it. */
export const moment = (local: string): string | null => (local ? new Date(local).toISOString() : null);

export const inOrder = ({ since, until }: SnapshotSpec): boolean => !since || !until || since < until;

export const complete = (spec: SnapshotSpec): boolean =>
  Number.isInteger(spec.minimum_overlap) && spec.minimum_overlap >= 1 && spec.minimum_overlap <= 25 && inOrder(spec);
