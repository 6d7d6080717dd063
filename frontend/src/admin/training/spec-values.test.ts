import { describe, expect, test } from "vitest";
import type { SpecField } from "$lib/api/run-types";
import { edited, nested, parsed, refusalOf, valueIn, without, written } from "./spec-values";

const field = (more: Partial<SpecField> = {}): SpecField => ({
  path: "optimizer.lr",
  section: "optimizer",
  title: "lr",
  description: "",
  type: "number",
  default: 5e-5,
  minimum: 0,
  maximum: 1,
  choices: null,
  unit: null,
  methods: [],
  ...more,
});

test("edits are sent by section", () => {
  expect(nested({ "optimizer.lr": 1e-4, "optimizer.name": "adamw", merge: true })).toEqual({
    optimizer: { lr: 1e-4, name: "adamw" },
    merge: true,
  });
});

test("a value is found in a whole spec", () => {
  const spec = { optimizer: { lr: 1e-4 }, dpo: null, merge: false };
  expect(valueIn(spec, "optimizer.lr")).toBe(1e-4);
  expect(valueIn(spec, "dpo.beta")).toBeUndefined();
  expect(valueIn(spec, "merge")).toBe(false);
});

describe("editing", () => {
  test("back to the usual value is no edit", () => {
    expect(edited({}, "optimizer.lr", 2, 1)).toEqual({ "optimizer.lr": 2 });
    expect(edited({ "optimizer.lr": 2 }, "optimizer.lr", 1, 1)).toEqual({});
    expect(edited({}, "optimizer.betas", [0.9, 0.99], [0.9, 0.99])).toEqual({});
  });

  test("epochs and steps exclude each other", () => {
    const steps = edited({}, "training.max_steps", 100, null);
    expect(steps).toEqual({ "training.max_steps": 100, "training.epochs": null });
    expect(edited(steps, "training.epochs", 2, 1)).toEqual({ "training.epochs": 2, "training.max_steps": null });
    expect(without(steps, "training.max_steps")).toEqual({});
  });
});

describe("typing", () => {
  test.each<[Partial<SpecField>, string, unknown]>([
    [{}, "5e-5", 5e-5],
    [{ type: "integer" }, "12", 12],
    [{ type: "integer", default: null }, " ", null],
    [{ type: "names", default: "all-linear" }, "all-linear", "all-linear"],
    [{ type: "names", default: "all-linear" }, "q_proj, v_proj", ["q_proj", "v_proj"]],
    [{ type: "numbers", default: [0.9, 0.999] }, "0.8,0.99", [0.8, 0.99]],
    [{ type: "text" }, "main", "main"],
  ])("%o: %s", (more, text, value) => expect(parsed(field(more), text)).toEqual(value));

  test("and back", () => {
    expect(written([0.9, 0.999])).toBe("0.9, 0.999");
    expect(written(null)).toBe("");
  });
});

test("what cannot be is refused at once", () => {
  expect(refusalOf(field(), 2)).toBe("range");
  expect(refusalOf(field(), Number.NaN)).toBe("number");
  expect(refusalOf(field({ type: "integer" }), 0.5)).toBe("whole");
  expect(refusalOf(field(), null)).toBe("missing");
  expect(refusalOf(field({ default: null }), null)).toBeNull();
  expect(refusalOf(field(), 0.5)).toBeNull();
});
