import type { SpecField } from "$lib/api/run-types";
import { t, type MessageKey } from "$lib/catalogue.svelte";

const TITLES: Readonly<Record<string, MessageKey>> = {
  training: "admin.section.training",
  optimizer: "admin.section.optimizer",
  lora: "admin.section.lora",
  data: "admin.section.data",
  base: "admin.section.base",
  evaluation: "admin.section.evaluation",
  dpo: "admin.section.dpo",
  reward: "admin.section.reward",
  kto: "admin.section.kto",
  online: "admin.section.online",
  ppo: "admin.section.ppo",
  "": "admin.section.other",
};
/** What is changed most often comes first; the method's own section before all. */
const ORDER = ["dpo", "reward", "kto", "online", "ppo", "optimizer", "training", "lora", "data", "base", "evaluation"];

export const sectionTitle = (section: string): string => (TITLES[section] ? t(TITLES[section]) : section);

/** The sections of the fields that a method reads. */
export function sectionsOf(fields: readonly SpecField[], method: string): { section: string; fields: SpecField[] }[] {
  const found = new Map<string, SpecField[]>();
  for (const field of fields) {
    if (field.methods.length && !field.methods.includes(method)) continue;
    const section = field.path.includes(".") ? field.section : "";
    found.set(section, [...(found.get(section) ?? []), field]);
  }
  const rank = (section: string) => (ORDER.includes(section) ? ORDER.indexOf(section) : ORDER.length);
  return [...found].map(([section, members]) => ({ section, fields: members })).sort((a, b) => rank(a.section) - rank(b.section));
}
