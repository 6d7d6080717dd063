import { Graph, layout } from "@dagrejs/dagre";
import type { Lineage } from "$lib/api/model-types";

/** Where every node and edge of a lineage is drawn, in pixels; layers go from left to right. */
export const NODE_WIDTH = 168;
export const NODE_HEIGHT = 54;
const MARGIN = 12;
/** How far an edge goes straight from a node and to one. */
const SIDE = 18;
const RANK_GAP = 56;

export interface Placed {
  width: number;
  height: number;
  /** Upper left corners, by the node's id. */
  nodes: ReadonlyMap<string, { x: number; y: number }>;
  edges: readonly { from: string; to: string; path: string }[];
}

export function placed({ nodes, edges }: Lineage): Placed {
  const graph = new Graph();
  graph.setGraph({ rankdir: "LR", nodesep: 14, ranksep: RANK_GAP, marginx: MARGIN, marginy: MARGIN });
  graph.setDefaultEdgeLabel(() => ({}));
  for (const { id } of nodes) graph.setNode(id, { width: NODE_WIDTH, height: NODE_HEIGHT });
  const known = edges.filter(({ from, to }) => graph.hasNode(from) && graph.hasNode(to));
  for (const { from, to } of known) graph.setEdge(from, to);
  layout(graph);
  const { width = 0, height = 0 } = graph.graph() as { width?: number; height?: number };
  return {
    width,
    height,
    nodes: new Map(nodes.map(({ id }) => [id, corner(graph.node(id))])),
    edges: known.map(({ from, to }) => ({ from, to, path: curve(between(graph, from, to)) })),
  };
}

interface Point {
  x: number;
  y: number;
}

/** From the right side of a cause to the left side of its effect, around what lies between. */
function between(graph: Graph, from: string, to: string): Point[] {
  const [start, end] = [graph.node(from), graph.node(to)] as unknown as [Point, Point];
  const inside = (graph.edge(from, to) as { points: Point[] }).points.slice(1, -1);
  const [near, far] = [start.x + NODE_WIDTH / 2, end.x - NODE_WIDTH / 2];
  // Between neighbouring layers there is nothing to go around.
  const around = far - near > 2 * RANK_GAP ? inside.filter(({ x }) => x > near + SIDE && x < far - SIDE) : [];
  return [
    { x: near, y: start.y },
    { x: near + SIDE, y: start.y },
    ...around,
    { x: far - SIDE, y: end.y },
    { x: far, y: end.y },
  ];
}

const corner = (node: unknown) => {
  const { x, y } = node as Point;
  return { x: x - NODE_WIDTH / 2, y: y - NODE_HEIGHT / 2 };
};

/** A smooth line through the points: straight ends, and curves from middle to middle. */
export function curve(points: readonly Point[]): string {
  const [first, ...rest] = points;
  if (!first) return "";
  const at = ({ x, y }: Point) => `${round(x)} ${round(y)}`;
  const middle = (a: Point, b: Point) => ({ x: (a.x + b.x) / 2, y: (a.y + b.y) / 2 });
  const parts = rest.map((point, i) => {
    const next = rest[i + 1];
    return next ? `Q${at(point)} ${at(middle(point, next))}` : `L${at(point)}`;
  });
  return `M${at(first)}${parts.join("")}`;
}

const round = (value: number) => Math.round(value * 10) / 10;

/** A node with everything it comes from and everything that comes of it. */
export function related(id: string, edges: Lineage["edges"]): Set<string> {
  const found = new Set([id]);
  for (const [near, far] of [["from", "to"], ["to", "from"]] as const) {
    const waiting = [id];
    for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
      for (const edge of edges) {
        if (edge[near] !== next || found.has(edge[far])) continue;
        found.add(edge[far]);
        waiting.push(edge[far]);
      }
    }
  }
  return found;
}
