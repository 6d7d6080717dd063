import type { SpecField } from "$lib/api/run-types";
import { METHODS } from "$lib/api/methods";
import { isMessage, t } from "$lib/catalogue.svelte";

/** What is changed most often comes first; the method's own section before all. */
const OWN = Object.values(METHODS).flatMap(({ section }) => section ?? []);
const ORDER: readonly string[] = [...OWN, "optimizer", "training", "lora", "data", "base", "evaluation"];

/** A section that no message names is called as the spec calls it. */
export function sectionTitle(section: string): string {
  const key = `admin.section.${section || "other"}`;
  return isMessage(key) ? t(key) : section;
}

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
