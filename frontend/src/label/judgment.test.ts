import { describe, expect, it } from "vitest";
import type { Judging } from "$lib/api/types";
import { draftOf, formFrom, isTouched, judgmentOf, missingFrom, startForm, type Form } from "./judgment";
import { boundary, reduce } from "./ranking";

const judging: Judging = {
  k_default: 4,
  ties_allowed: true,
  strength: true,
  axes: [{ key: "helpful", name: "Helpful", min: 1, max: 5 }],
  tags: ["creative", "math"],
  rationale: "optional",
  write_better: true,
};
const labels = ["A", "B", "C", "D"];

function ranked(): Form {
  const form = startForm(labels, judging);
  let { ranking } = form;
  for (const label of ["B", "A"]) ranking = reduce(ranking, { type: "place", label });
  ranking = reduce(ranking, { type: "tie" });
  for (const label of ["D", "C"]) ranking = reduce(ranking, { type: "place", label });
  ranking = reduce(ranking, { type: "toggleUnacceptable" });
  return { ...form, ranking, strengths: { [boundary(["B"], ["D", "A"])]: 2, "X>Y": 3 }, rationale: " because " };
}

describe("what is submitted", () => {
  it("is the contract's shape", () => {
    expect(judgmentOf(ranked(), judging, 1234.5)).toEqual({
      tiers: [["B"], ["A", "D"], ["C"]],
      unacceptable: [{ label: "C", reason: "" }],
      strengths: [2, null],
      ratings: {},
      tags: [],
      rationale: "because",
      active_ms: 1235,
      demonstration: null,
    });
  });
  it("says nothing of strength where the project does not ask", () => {
    expect(judgmentOf(ranked(), { ...judging, strength: false }, 0).strengths).toEqual([]);
  });
});

describe("what is missing", () => {
  it("names the unranked responses first, then a required rationale, then an empty better answer", () => {
    expect(missingFrom(startForm(labels, judging), judging)).toEqual({ kind: "unranked", labels });
    expect(missingFrom({ ...ranked(), rationale: "  " }, { ...judging, rationale: "required" })).toEqual({ kind: "rationale" });
    expect(missingFrom({ ...ranked(), demonstration: { text: " ", from: "A" } }, judging)).toEqual({ kind: "demonstration" });
    expect(missingFrom(ranked(), judging)).toBeNull();
  });
});

describe("drafts", () => {
  it("come back as they were", () => {
    const form = { ...ranked(), ratings: { helpful: { A: 4 } }, tags: ["math"], demonstration: { text: "Better. ", from: "B" } };
    const draft: unknown = JSON.parse(JSON.stringify(draftOf(form, judging, 10)));
    const back = formFrom(draft, labels, judging);
    expect(draftOf(back, judging, 10)).toEqual(draft);
    expect(back.ranking.placed).toEqual(form.ranking.placed);
  });
  it("keep a half-made ranking, with the response that was placed automatically", () => {
    const form = startForm(labels, judging);
    const half = { ...form, ranking: reduce(form.ranking, { type: "place", label: "C" }) };
    expect(formFrom(draftOf(half, judging, 0), labels, judging).ranking.tiers).toEqual([["C"]]);
    let { ranking } = form;
    for (const label of "BAD") ranking = reduce(ranking, { type: "place", label });
    expect(formFrom(draftOf({ ...form, ranking }, judging, 0), labels, judging).ranking.automatic).toBe("C");
  });
  it("from elsewhere are taken as far as they fit", () => {
    const odd = {
      tiers: [["Z", "A"], "nonsense", [1, "B", "A"]],
      unacceptable: [{ label: "A" }, { label: "Q" }, null],
      strengths: [7, "x"],
      ratings: { helpful: { A: 99, B: 3 }, unknown: { A: 1 } },
      tags: ["math", "gone", 3],
      rationale: 5,
      demonstration: { text: "t", from: "Q" },
    };
    const form = formFrom(odd, labels, judging);
    expect(form.ranking.tiers).toEqual([["B"], ["A"]]);
    expect(form.ranking.unacceptable).toEqual({ A: "" });
    expect(form.ratings).toEqual({ helpful: { B: 3 } });
    expect(form.tags).toEqual(["math"]);
    expect(form.demonstration).toEqual({ text: "t", from: null });
    for (const nothing of [null, 3, "x", [], {}]) expect(isTouched(formFrom(nothing, labels, judging))).toBe(false);
  });
});
