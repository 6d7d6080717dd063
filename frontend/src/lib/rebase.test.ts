import { describe, expect, it } from "vitest";
import { rebased } from "./rebase";

const base = { name: "Tone", guidelines: "Be kind.", judging: { k: 4, tags: ["a"] }, gate: { max_kl: 1 as number | null } };

describe("my changes on somebody else's", () => {
  it("takes both where they are apart, inside of objects too", () => {
    const mine = { ...base, name: "Voice", judging: { k: 5, tags: ["a"] } };
    const theirs = { ...base, guidelines: "Be kind and short.", judging: { k: 4, tags: ["a", "b"] } };
    expect(rebased(base, mine, theirs)).toEqual({
      values: { name: "Voice", guidelines: "Be kind and short.", judging: { k: 5, tags: ["a", "b"] }, gate: { max_kl: 1 } },
      both: [],
    });
  });

  it("keeps mine where both changed the same, and names it", () => {
    const mine = { ...base, judging: { k: 5, tags: ["mine"] }, gate: { max_kl: null } };
    const theirs = { ...base, judging: { k: 3, tags: ["theirs"] }, gate: { max_kl: null } };
    expect(rebased(base, mine, theirs)).toEqual({
      values: { ...base, judging: { k: 5, tags: ["mine"] }, gate: { max_kl: null } },
      both: ["judging.k", "judging.tags"],
    });
  });

  it("has nothing of mine where I changed nothing", () => {
    const theirs = { ...base, name: "Theirs" };
    expect(rebased(base, structuredClone(base), theirs)).toEqual({ values: theirs, both: [] });
  });
});
