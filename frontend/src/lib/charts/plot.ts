import type uPlot from "uplot";

/** What a line chart asks of uPlot. Colours are asked for at every drawing: the theme may change. */
export interface Plan {
  width: number;
  height: number;
  labels: readonly string[];
  logarithmic: boolean;
  /** Charts with the same key show the same x under the pointer. */
  sync: string | undefined;
  colours: Colours;
  written: (value: number) => string;
  pointed: (place: number | null) => void;
  scaled: (chart: uPlot) => void;
}
export interface Colours {
  ink: string;
  grid: string;
  lines: string[];
  font: string;
}

/** Lines differ in more than their colour. */
export const DASHES: readonly (readonly number[])[] = [[], [6, 4], [2, 3], [9, 3, 2, 3], [1, 2], [12, 4]];
const FEW_POINTS = 30;
const DIGIT_PX = 6.6;

export function optionsOf(plan: Plan): uPlot.Options {
  const { colours, written } = plan;
  const axis: uPlot.Axis = {
    stroke: () => colours.ink,
    font: colours.font,
    grid: { stroke: () => colours.grid, width: 1 },
    ticks: { show: false },
  };
  return {
    width: plan.width,
    height: plan.height,
    legend: { show: false },
    padding: [8, 10, 0, 0],
    scales: { x: { time: false }, y: plan.logarithmic ? { distr: 3 } : {} },
    axes: [
      { ...axis, grid: { show: false }, size: 26, gap: 4, values: (_, splits) => splits.map(wholeNumber) },
      {
        ...axis,
        size: (_, values) => 14 + DIGIT_PX * Math.max(3, ...(values ?? []).map((text) => text?.length ?? 0)),
        gap: 4,
        space: 34,
        values: (_, splits) => labelsOf(splits, written),
      },
    ],
    series: [
      {},
      ...plan.labels.map((label, i) => ({
        label,
        stroke: () => colours.lines[i] ?? colours.ink,
        width: 1.75,
        dash: [...(DASHES[i % DASHES.length] ?? [])],
        spanGaps: true,
        points: { show: few, size: 5, fill: () => colours.lines[i] ?? colours.ink },
      })),
    ],
    cursor: {
      y: false,
      drag: { x: true, y: false, setScale: true, dist: 8 },
      ...(plan.sync ? { sync: { key: plan.sync, setSeries: false, scales: ["x", null] as [string, null] } } : {}),
    },
    hooks: {
      setCursor: [(chart) => plan.pointed(chart.cursor.idx ?? null)],
      setScale: [(chart, key) => void (key === "x" && plan.scaled(chart))],
    },
  };
}

/** Dots show where the values of a line are, as long as they can be told apart. */
const few = (chart: uPlot, line: number): boolean =>
  Array.from(chart.data[line] ?? []).filter((value) => value !== null && value !== undefined).length <= FEW_POINTS;

const wholeNumber = (value: number): string => (Number.isInteger(value) ? value.toLocaleString() : "");

/** Of ticks that are written alike, as 2.91 and 2.92 in "2.9 GB", the first one is. */
export function labelsOf(ticks: readonly (number | null)[], written: (value: number) => string): string[] {
  const labels = ticks.map((tick) => (tick === null ? "" : written(tick)));
  return labels.map((label, place) => (label === labels[place - 1] ? "" : label));
}
