import { describe, expect, it } from "vitest";
import { acceptableTiers, isComplete, isUnacceptable, reduce, startRanking, unranked, type Action, type Ranking } from "./ranking";

const start = (k = 4, ties = true) => startRanking("ABCDEFGHI".slice(0, k).split(""), ties);

/** "BA=Dx<" as a labeler types it. */
function typed(keys: string, state = start()): Ranking {
  return [...keys].reduce((now, key) => {
    if (key === "=") return reduce(now, { type: "tie" });
    if (key === "<") return reduce(now, { type: "takeBack" });
    if (key === "x") return reduce(now, { type: "toggleUnacceptable" });
    return reduce(now, { type: "place", label: key });
  }, state);
}
const order = (state: Ranking) =>
  state.tiers.map((tier) => tier.map((l) => (isUnacceptable(state, l) ? `!${l}` : l)).join("=")).join(" ");
const act = (state: Ranking, action: Action) => reduce(state, action);

describe("ranking by letters", () => {
  it("places letters in order of preference, and the last one by itself", () => {
    expect(order(typed("BAD"))).toBe("B A D C");
    expect(typed("BAD").automatic).toBe("C");
    expect(isComplete(typed("BAD"))).toBe(true);
    expect(isComplete(typed("BA"))).toBe(false);
  });
  it("accepts the last letter as well", () => {
    expect(order(typed("BADC"))).toBe("B A D C");
    expect(typed("BADC").automatic).toBeNull();
  });
  it("ties the next with the last", () => {
    expect(order(typed("BA=DC"))).toBe("B A=D C");
    expect(order(typed("B=A=DC"))).toBe("B=A=D C");
  });
  it("ties the response that is left with the last", () => {
    expect(order(typed("B=", start(2)))).toBe("B=A");
    expect(order(typed("B=A", start(2)))).toBe("B=A");
    expect(order(typed("BAD="))).toBe("B A D=C");
    expect(order(typed("BAD=C"))).toBe("B A D=C");
  });
  it("does not tie where ties are not allowed, or before anything is placed", () => {
    expect(order(typed("B=AD", start(4, false)))).toBe("B A D C");
    expect(typed("=").tieNext).toBe(false);
  });
  it("takes a pending tie back when = is pressed again", () => {
    expect(order(typed("B==AD"))).toBe("B A D C");
  });
  it("only focuses a letter that is placed", () => {
    const state = typed("BAB");
    expect(order(state)).toBe("B A");
    expect(state.focused).toBe("B");
  });
  it("ignores letters that are not shown", () => {
    expect(order(typed("BZQ"))).toBe("B");
  });
});

describe("taking back", () => {
  it("removes the last letter, and what was placed automatically with it", () => {
    expect(order(typed("BAD<"))).toBe("B A");
    expect(order(typed("BADC<"))).toBe("B A D");
    expect(order(typed("BAD<<<<"))).toBe("");
  });
  it("takes a pending tie back first", () => {
    expect(order(typed("B=<AD"))).toBe("B A D C");
  });
  it("takes a tie apart", () => {
    expect(order(typed("BA=D<"))).toBe("B A");
    expect(order(typed("B=<", start(2)))).toBe("B");
  });
  it("takes an unacceptable mark back with the response", () => {
    const state = typed("BAx<");
    expect(order(state)).toBe("B");
    expect(unranked(state)).toEqual(["A", "C", "D"]);
    expect(state.unacceptable).toEqual({});
  });
});

describe("unacceptable responses", () => {
  it("moves the last one below every acceptable one", () => {
    expect(order(typed("BAx"))).toBe("B !A");
    expect(order(typed("BAxD"))).toBe("B D C !A");
  });
  it("keeps the order of ranked ones", () => {
    expect(order(typed("BADCxDx"))).toBe("B A !D !C");
  });
  it("ties those that were never ranked, unless ties are not allowed", () => {
    const mark = (state: Ranking, label: string) => act(state, { type: "toggleUnacceptable", label });
    expect(order(mark(mark(start(), "C"), "D"))).toBe("!C=!D");
    expect(order(mark(mark(start(4, false), "C"), "D"))).toBe("!C !D");
  });
  it("lets everything be bad", () => {
    let state = typed("B");
    for (const label of "BACD") state = act(state, { type: "toggleUnacceptable", label });
    expect(acceptableTiers(state)).toBe(0);
    expect(isComplete(state)).toBe(true);
  });
  it("returns as the last acceptable one", () => {
    expect(order(typed("BAxx"))).toBe("B A");
    expect(order(typed("BADCxBxBx"))).toBe("A D B !C");
  });
  it("does not tie an acceptable one to an unacceptable one", () => {
    expect(order(typed("Bx=AD"))).toBe("A D C !B");
  });
  it("keeps a reason only for marked ones", () => {
    const marked = act(typed("BAx"), { type: "setReason", label: "A", reason: "invents a source" });
    expect(marked.unacceptable).toEqual({ A: "invents a source" });
    expect(act(marked, { type: "setReason", label: "B", reason: "no" }).unacceptable).toEqual(marked.unacceptable);
  });
});

describe("moving", () => {
  const up = (state: Ranking, label: string) => act(state, { type: "nudge", step: -1, label });
  const down = (state: Ranking, label: string) => act(state, { type: "nudge", step: 1, label });

  it("goes through ties", () => {
    let state = typed("BADC");
    expect(order((state = up(state, "D")))).toBe("B A=D C");
    expect(order((state = up(state, "D")))).toBe("B D A C");
    expect(order((state = down(state, "D")))).toBe("B A=D C");
    expect(order((state = down(state, "D")))).toBe("B A D C");
  });
  it("swaps neighbours where ties are not allowed", () => {
    expect(order(up(typed("BADC", start(4, false)), "D"))).toBe("B D A C");
    expect(order(down(typed("BADC", start(4, false)), "B"))).toBe("A B D C");
  });
  it("stays within the acceptable or the unacceptable ones", () => {
    expect(order(up(typed("BADCx"), "C"))).toBe("B A D !C");
    expect(order(down(typed("BADCx"), "D"))).toBe("B A D !C");
    expect(order(up(typed("BADC"), "B"))).toBe("B A D C");
  });
  it("drops into a tier, a gap, the unacceptable ones and out again", () => {
    const state = typed("BADC");
    const to = (label: string, place: Extract<Action, { type: "move" }>["to"]) => order(act(state, { type: "move", label, to: place }));
    expect(to("C", { kind: "tier", index: 0 })).toBe("B=C A D");
    expect(to("C", { kind: "gap", index: 0 })).toBe("C B A D");
    expect(to("B", { kind: "gap", index: 4 })).toBe("A D C B");
    expect(to("B", { kind: "gap", index: 2 })).toBe("A B D C");
    expect(to("B", { kind: "unacceptable" })).toBe("A D C !B");
    expect(to("A", { kind: "unranked" })).toBe("B D C");
    expect(to("B", { kind: "tier", index: 0 })).toBe("B A D C");
  });
  it("marks what is dropped among unacceptable ones, and unmarks what is dragged out", () => {
    const state = typed("BADCx");
    expect(order(act(state, { type: "move", label: "D", to: { kind: "tier", index: 3 } }))).toBe("B A !C=!D");
    expect(order(act(state, { type: "move", label: "C", to: { kind: "tier", index: 0 } }))).toBe("B=C A D");
    expect(order(act(state, { type: "move", label: "C", to: { kind: "gap", index: 1 } }))).toBe("B C A D");
  });
  it("ranks by dragging alone", () => {
    let state = start(3);
    state = act(state, { type: "move", label: "C", to: { kind: "gap", index: 0 } });
    expect(order(state)).toBe("C");
    state = act(state, { type: "move", label: "A", to: { kind: "gap", index: 0 } });
    expect(order(state)).toBe("A C B");
  });
  it("walks the focus around", () => {
    const next = (state: Ranking, step: 1 | -1) => act(state, { type: "focusNext", step });
    expect(next(start(3), 1).focused).toBe("A");
    expect(next(start(3), -1).focused).toBe("C");
    expect(next(next(start(2), -1), 1).focused).toBe("A");
  });
});

describe("whatever is done", () => {
  it("each label stands at most once and unacceptable ones stand below", () => {
    let seed = 7;
    const random = (n: number) => (seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648) % n;
    for (let run = 0; run < 300; run++) {
      const k = 2 + random(8);
      let state = start(k, random(2) === 0);
      for (let step = 0; step < 40; step++) {
        const label = state.labels[random(k)] as string;
        const actions: Action[] = [
          { type: "place", label },
          { type: "tie" },
          { type: "takeBack" },
          { type: "toggleUnacceptable", label },
          { type: "nudge", step: random(2) ? 1 : -1, label },
          { type: "move", label, to: { kind: "gap", index: random(k + 1) } },
          { type: "move", label, to: { kind: "tier", index: random(k) } },
          { type: "move", label, to: { kind: "unacceptable" } },
          { type: "move", label, to: { kind: "unranked" } },
        ];
        state = act(state, actions[random(actions.length)] as Action);
        const flat = state.tiers.flat();
        expect(new Set(flat).size).toBe(flat.length);
        const bad = state.tiers.map((tier) => tier.map((l) => isUnacceptable(state, l)));
        expect(bad.every((marks) => new Set(marks).size === 1)).toBe(true);
        const firstBad = bad.findIndex((marks) => marks[0]);
        if (firstBad >= 0) expect(bad.slice(firstBad).every((marks) => marks[0])).toBe(true);
        if (!state.tiesAllowed) expect(state.tiers.every((tier) => tier.length === 1)).toBe(true);
        expect(Object.keys(state.unacceptable).every((l) => flat.includes(l))).toBe(true);
      }
    }
  });
});
