import type { Spec, SpecValue } from "$lib/api/run-types";
import { number } from "$lib/format";
import { valueIn } from "./spec-values";

/** Memory from MB (2**20 bytes): "830 MB", "4.4 GB". */
export const memory = (mb: number): string =>
  mb < 1024 ? `${number(mb)} MB` : `${number(mb / 1024, mb < 10 * 1024 ? 1 : 0)} GB`;

export interface Saving {
  path: string;
  value: SpecValue;
}

/** What makes a run smaller, the mildest change first. */
export function savingsOf(spec: Spec): Saving[] {
  const pack = valueIn(spec, "training.tokens_per_pack");
  const savings: Saving[] = [];
  if (typeof pack === "number" && pack >= 1024) savings.push({ path: "training.tokens_per_pack", value: Math.floor(pack / 2) });
  if (valueIn(spec, "base.gradient_checkpointing") === false) savings.push({ path: "base.gradient_checkpointing", value: true });
  if (valueIn(spec, "base.precision") !== "nf4") savings.push({ path: "base.precision", value: "nf4" });
  return savings;
}
