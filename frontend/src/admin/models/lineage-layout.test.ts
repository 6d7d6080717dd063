import { expect, test } from "vitest";
import type { Lineage, LineageNode } from "$lib/api/model-types";
import { curve, NODE_WIDTH, placed, related } from "./lineage-layout";

const node = (id: string): LineageNode => ({ id, kind: "run", number: 1, title: id, detail: "", at: null, standing: null });
const lineage: Lineage = {
  nodes: ["round", "other", "snapshot", "run", "adapter"].map(node),
  edges: [
    { from: "round", to: "snapshot", count: null },
    { from: "other", to: "snapshot", count: null },
    { from: "snapshot", to: "run", count: null },
    { from: "run", to: "adapter", count: null },
    { from: "run", to: "gone", count: null },
  ],
  latest: 40,
};

test("layers go from left to right and nothing overlaps", () => {
  const { nodes, edges, width } = placed(lineage);
  const x = (id: string) => nodes.get(id)?.x ?? -1;
  expect(x("round")).toBe(x("other"));
  expect(x("round") + NODE_WIDTH).toBeLessThan(x("snapshot"));
  expect(x("snapshot")).toBeLessThan(x("run"));
  expect(x("adapter") + NODE_WIDTH).toBeLessThan(width);
  expect(nodes.get("round")?.y).not.toBe(nodes.get("other")?.y);
  expect(edges).toHaveLength(4);
});

test("what a node comes from and what comes of it", () => {
  expect([...related("snapshot", lineage.edges)].sort()).toEqual(["adapter", "gone", "other", "round", "run", "snapshot"]);
  expect(related("round", lineage.edges).has("other")).toBe(false);
});

test("an edge is drawn through its points", () => {
  expect(curve([{ x: 0, y: 0 }, { x: 10, y: 0 }, { x: 20, y: 10 }])).toBe("M0 0Q10 0 15 5L20 10");
  expect(curve([])).toBe("");
});

test("an empty lineage has a layout", () => {
  expect(placed({ nodes: [], edges: [], latest: 40 }).nodes.size).toBe(0);
});
