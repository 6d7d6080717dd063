import { t } from "$lib/catalogue.svelte";
import { list } from "$lib/format";
import { isUnacceptable, unranked, type Ranking } from "./ranking";
import type { Missing } from "./judgment";

/** The ranking in words, for screen readers: "1: B. 2: A and D, tied. Unacceptable: C." */
export function orderInWords(ranking: Ranking): string {
  const left = unranked(ranking);
  if (!ranking.tiers.length) return t("label.order.none");
  const good = ranking.tiers.filter((tier) => !tier.some((label) => isUnacceptable(ranking, label)));
  const bad = ranking.tiers.slice(good.length).flat();
  const tier = (labels: readonly string[]) => (labels.length > 1 ? t("label.order.tied", { labels: list(labels) }) : (labels[0] ?? ""));
  return [
    ...good.map((labels, i) => t("label.order.tier", { n: i + 1, labels: tier(labels) })),
    ...(bad.length ? [t("label.order.unacceptable", { labels: list(bad) })] : []),
    ...(left.length ? [t("label.order.left", { labels: list(left) })] : []),
  ].join(" ");
}

export function missingInWords(missing: Missing): string {
  switch (missing.kind) {
    case "unranked":
      return t("label.missing.unranked", { labels: list(missing.labels) });
    case "rationale":
      return t("label.missing.rationale");
    case "demonstration":
      return t("label.missing.demonstration");
  }
}
