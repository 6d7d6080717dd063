import { expect, test } from "vitest";
import { chartsOf, sourceOf } from "./metric-charts";

const rows = [
  { position: 0, values: { step: 1, steps: 3, loss: 0.7, lr: 1e-4, mean_depth: 2, time: "2026-01-01T00:00:00Z" } },
  { position: 1, values: { step: 2, steps: 3, loss: null, lr: 5e-5 } },
  { position: 2, values: { step: 2, evaluation_accuracy: 0.6 } },
  { position: 3, values: { step: 3, steps: 3, loss: 0.5, eta_s: 0 } },
];

test("metrics that belong together are one chart, over the steps that there are", () => {
  const { steps, charts } = chartsOf(rows);
  expect(steps).toEqual([1, 2, 3]);
  expect(charts).toEqual([
    { key: "loss", part: "result", curves: [{ metric: "loss", values: [0.7, null, 0.5] }] },
    { key: "accuracy", part: "result", curves: [{ metric: "evaluation_accuracy", values: [null, 0.6, null] }] },
    { key: "lr", part: "machine", curves: [{ metric: "lr", values: [1e-4, 5e-5, null] }] },
  ]);
});

test("what no chart knows has one of its own; clocks and counters have none", () => {
  expect(chartsOf(rows).more).toEqual([{ metric: "mean_depth", values: [2, null, null] }]);
});

test("without a line there is no chart", () => expect(chartsOf([])).toEqual({ steps: [], charts: [], more: [] }));

const line = (values: Record<string, number>) => chartsOf([{ position: 0, values: { step: 1, ...values } }]);

/** A step of PPO as the engine writes it. */
const PPO = {
  reward: 0.4, reward_0: 0.4, score: 0.2, kl: 3, kl_token: 0.05, entropy: 1.2, length: 60, end_rate: 0.9, mismatch_kl: 1e-6, importance: 1,
  value: 0.3, explained_variance: 0.5, policy_loss: -0.01, clip_fraction: 0.1, approx_kl: 0.01, ratio: 1, update_entropy: 1.1,
  value_loss: 0.2, value_clip_fraction: 0.3, ptx_loss: 2.1, grad_norm: 1, critic_grad_norm: 2, updates: 4, stopped_early: 0, kl_coef: 0.05,
  lr: 1e-5, rollout_age: 0, rollout_wait_s: 2, rollout_tokens_per_s: 80, measure_tokens_per_s: 200, update_tokens_per_s: 60, tokens_per_s: 30,
  evaluation_reward: 0.3, evaluation_score: 0.1, evaluation_length: 58, evaluation_accuracy: 0.6, evaluation_log_loss: 0.68, alarms: 0, memory_mb: 900,
};

test("all that PPO writes has a place; what belongs together is one chart", () => {
  const { charts, more } = line(PPO);
  const metrics = Object.fromEntries(charts.map(({ key, curves }) => [key, curves.map(({ metric }) => metric)]));
  expect(metrics).toMatchObject({
    reward: ["reward", "evaluation_reward"],
    score: ["score", "evaluation_score"],
    length: ["length", "evaluation_length"],
    clip: ["clip_fraction", "value_clip_fraction"],
    entropy: ["entropy", "update_entropy"],
    grad_norm: ["grad_norm", "critic_grad_norm"],
    tokens_per_s: ["tokens_per_s", "rollout_tokens_per_s", "measure_tokens_per_s", "update_tokens_per_s"],
  });
  expect(more.map(({ metric }) => metric)).toEqual(["alarms", "kl_token", "rollout_age", "stopped_early", "updates"]);
  expect(new Set(charts.map(({ part }) => part))).toEqual(new Set(["result", "policy", "critic", "machine"]));
});

test("rewards by source are a chart as soon as there are two sources", () => {
  expect(line(PPO).charts.some(({ key }) => key === "sources")).toBe(false);
  const sources = line({ ...PPO, reward_ends: 1 }).charts.find(({ key }) => key === "sources");
  expect(sources?.curves.map(({ metric }) => metric)).toEqual(["reward_0", "reward_ends"]);
});

test("a source is called as the spec names it", () => {
  const rewards = ["adapters/abc", "rules:ends"];
  expect(sourceOf("reward_0", rewards)).toBe("adapters/abc");
  expect(sourceOf("reward_ends", rewards)).toBe("ends");
  expect(sourceOf("reward_7", rewards)).toBe("7");
  expect(sourceOf("reward_std", rewards)).toBeNull();
  expect(sourceOf("kl", rewards)).toBeNull();
});
