import { SvelteMap } from "svelte/reactivity";
import { getProject } from "$lib/api/projects";
import type { ProjectDetail } from "$lib/api/types";
import { session } from "$lib/session.svelte";

/** Projects as last seen, so that going from tab to tab shows the header at once. */
const known = new SvelteMap<string, ProjectDetail>();

/** Roles differ from person to person: what one saw is not shown to the next. */
const keyOf = (slug: string) => `${session.user?.id ?? ""}/${slug}`;

export const knownProjects = {
  get: (slug: string) => known.get(keyOf(slug)),
  set: (detail: ProjectDetail) => void known.set(keyOf(detail.slug), detail),
  async refresh(slug: string) {
    const detail = await getProject(slug);
    known.set(keyOf(slug), detail);
    return detail;
  },
};
