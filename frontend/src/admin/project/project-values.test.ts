import { describe, expect, test } from "vitest";
import { errorsOf, suggestedSlug } from "./project-values";

describe("the suggested address of a project", () => {
  test.each([
    ["Helpful and brief", "helpful-and-brief"],
    ["Größe & Stil!", "grosse-stil"],
    ["  Déjà vu  ", "deja-vu"],
    ["日本語", ""],
    ["x".repeat(80), "x".repeat(60)],
  ])("%s becomes %s", (name, slug) => expect(suggestedSlug(name)).toBe(slug));

  test("does not end with a hyphen when it is cut", () => {
    expect(suggestedSlug(`${"x".repeat(59)} yz`)).toBe("x".repeat(59));
  });
});

test("errors are found with and without the path to their field", () => {
  const fields = { "judging.k_default": ["Too large."], overlap: ["Too small."], "judging.axes.0.key": ["Twice."] };
  expect(errorsOf(fields, "k_default")).toEqual(["Too large."]);
  expect(errorsOf(fields, "overlap")).toEqual(["Too small."]);
  expect(errorsOf(fields, "axes")).toEqual(["Twice."]);
  expect(errorsOf(fields, "tags")).toEqual([]);
});
