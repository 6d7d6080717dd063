import { expect, test } from "vitest";
import { errorsAt, inWords, newSettings } from "./policy-values";

test("a policy is summed up in words", () => {
  expect(inWords(newSettings(), true).join(" ")).toBe(
    "A turn begins after 500 new comparisons. " +
      "Every ranking is frozen into a snapshot, and the base model learns from it by DPO. " +
      "A reward model trained on the same snapshot compares the answers with those of the current model on 64 held-out prompts. " +
      "An admin is asked to promote the candidate if its win rate is at least 50% and its answers are at most 2 times as long. " +
      "Open tasks stay as they are, and a new round of up to 50 prompts that were never used asks for 4 responses each.",
  );
});

test("every choice has its words", () => {
  const settings = newSettings();
  settings.trigger = { comparisons: null, hours: 24 };
  settings.snapshot.aggregation = "majority";
  settings.run = { ...settings.run, method: "grpo", start_from: "current" };
  settings.judge.train = false;
  settings.gate = { ...settings.gate, min_win_rate: null, max_length_ratio: null, max_kl: 0.1 };
  settings.humans = { rankings: 30, min_win_rate: 0.55 };
  settings.promotion = "automatic";
  settings.stale = "regenerate";
  settings.next_round = null;
  const words = inWords(settings, true).join(" ");
  expect(words).toContain("24 hours after the last");
  expect(words).toContain("goes on learning");
  expect(words).toContain("newest reward model");
  expect(words).toContain("promoted by itself");
  expect(words).toContain("0.1 nats a token");
  expect(words).toContain("55%");
  expect(words).toContain("no new round");
  expect(inWords(settings, false)[0]).toContain("by hand");
});

test("nothing asked means that every candidate passes", () => {
  const settings = newSettings();
  for (const key of Object.keys(settings.gate) as (keyof typeof settings.gate)[]) settings.gate[key] = null;
  expect(inWords(settings, true)[3]).toBe("An admin is asked to promote every candidate.");
});

test("errors belong to the field that they name", () => {
  const fields = { "settings.gate.max_kl": ["Too low."], "settings.run.values.optimizer.lr": ["Too high."], "settings.humans.min_win_rate": ["No."] };
  expect(errorsAt(fields, "gate.max_kl")).toEqual(["Too low."]);
  expect(errorsAt(fields, "run.values")).toEqual(["Too high."]);
  expect(errorsAt(fields, "gate.min_win_rate")).toEqual([]);
});
