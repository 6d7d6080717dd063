import type { MetricRow } from "$lib/api/run-types";
import { getMetrics } from "$lib/api/runs";

const POINTS = 600;
/** So many lines are asked for again, thinned out. */
const MOST = 1_800;

/** The metrics of a run: those that are new are added, all are read again when it began again. */
export class RunMetrics {
  rows = $state.raw<readonly MetricRow[]>([]);
  #starts = -1;

  async follow(slug: string, number: string, starts: number): Promise<void> {
    const last = this.rows.at(-1);
    if (!last || starts !== this.#starts || this.rows.length > MOST) return this.#readAll(slug, number, starts);
    const { total, rows } = await getMetrics(slug, number, last.position, POINTS);
    if (total <= last.position || stepOf(rows[0]) < stepOf(last)) return this.#readAll(slug, number, starts);
    if (rows.length) this.rows = [...this.rows, ...rows];
  }

  async #readAll(slug: string, number: string, starts: number): Promise<void> {
    const { rows } = await getMetrics(slug, number, null, POINTS);
    this.rows = rows;
    this.#starts = starts;
  }
}

/** A run that goes on from a checkpoint writes the steps after it once more. */
function stepOf(row: MetricRow | undefined): number {
  const step = row?.values.step;
  return typeof step === "number" ? step : Infinity;
}
