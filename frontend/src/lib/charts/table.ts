import { csv, type Cell } from "./csv";

/** What a chart shows, as rows: for people who read tables, and for a file. */
export interface ChartTable {
  columns: readonly { title: string; numeric?: boolean }[];
  rows: readonly (readonly Cell[])[];
}

export const csvOf = ({ columns, rows }: ChartTable): string => csv([columns.map(({ title }) => title), ...rows]);
