import type { ChartTable } from "./table";

/** A line of a chart: one value for each x, null where there is none. */
export interface Line {
  key: string;
  label: string;
  values: readonly (number | null)[];
}

/** What a screen reader is told of a line instead of its picture. */
export interface Outline {
  label: string;
  first: number;
  last: number;
  lowest: number;
  lowestAt: number;
  highest: number;
  highestAt: number;
}

export function outlineOf(x: readonly number[], { label, values }: Line): Outline | null {
  let found: Outline | null = null;
  values.forEach((value, i) => {
    const at = x[i];
    if (value === null || at === undefined) return;
    found ??= { label, first: value, last: value, lowest: value, lowestAt: at, highest: value, highestAt: at };
    found.last = value;
    if (value < found.lowest) [found.lowest, found.lowestAt] = [value, at];
    if (value > found.highest) [found.highest, found.highestAt] = [value, at];
  });
  return found;
}

export function tableOf(x: readonly number[], xTitle: string, lines: readonly Line[]): ChartTable {
  return {
    columns: [{ title: xTitle, numeric: true }, ...lines.map(({ label }) => ({ title: label, numeric: true }))],
    rows: x.map((at, i) => [at, ...lines.map(({ values }) => values[i] ?? null)]),
  };
}

/** The last place at or before `i` where a line has a value: evaluations are rarer than steps. */
export function valueAt({ values }: Line, i: number): number | null {
  for (let place = Math.min(i, values.length - 1); place >= 0; place--) {
    const value = values[place];
    if (value !== null && value !== undefined) return value;
  }
  return null;
}

/** A logarithm is there for what is above zero only. */
export const aboveZero = (values: readonly (number | null)[]): (number | null)[] =>
  values.map((value) => (value !== null && value > 0 ? value : null));
