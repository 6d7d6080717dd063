import { expect, test } from "vitest";
import { chartsOf } from "./metric-charts";

const rows = [
  { position: 0, values: { step: 1, steps: 3, loss: 0.7, lr: 1e-4, entropy: 2, time: "2026-01-01T00:00:00Z" } },
  { position: 1, values: { step: 2, steps: 3, loss: null, lr: 5e-5 } },
  { position: 2, values: { step: 2, evaluation_accuracy: 0.6 } },
  { position: 3, values: { step: 3, steps: 3, loss: 0.5, eta_s: 0 } },
];

test("metrics that belong together are one chart, over the steps that there are", () => {
  const { steps, charts } = chartsOf(rows);
  expect(steps).toEqual([1, 2, 3]);
  expect(charts).toEqual([
    { key: "loss", curves: [{ metric: "loss", values: [0.7, null, 0.5] }] },
    { key: "accuracy", curves: [{ metric: "evaluation_accuracy", values: [null, 0.6, null] }] },
    { key: "lr", curves: [{ metric: "lr", values: [1e-4, 5e-5, null] }] },
  ]);
});

test("what no chart knows has one of its own; clocks and counters have none", () => {
  expect(chartsOf(rows).more).toEqual([{ metric: "entropy", values: [2, null, null] }]);
});

test("without a line there is no chart", () => expect(chartsOf([])).toEqual({ steps: [], charts: [], more: [] }));
