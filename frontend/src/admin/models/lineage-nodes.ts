import type { LineageNode } from "$lib/api/model-types";
import { place } from "./places";

/** Where a node of the lineage leads; nowhere from a base, and from many labelers together. */
export function nodeHref(slug: string, { kind, number, title }: LineageNode): string | undefined {
  const n = number ?? 0;
  switch (kind) {
    case "labeler":
      return place.rankings(slug, title);
    case "round":
      return place.round(slug, n);
    case "snapshot":
      return place.snapshot(slug, n);
    case "run":
      return place.run(slug, n);
    case "adapter":
      return place.adapter(slug, n);
    case "promotion":
      return place.models(slug);
    case "base":
    case "labelers":
      return undefined;
  }
}
