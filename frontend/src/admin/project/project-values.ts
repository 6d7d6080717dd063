import type { ProjectValues } from "$lib/api/admin-types";
import type { ProjectDetail } from "$lib/api/types";

export const newProject = (): ProjectValues => ({
  slug: "",
  name: "",
  description: "",
  guidelines: "",
  judging: {
    k_default: 4,
    ties_allowed: true,
    strength: false,
    axes: [],
    tags: [],
    rationale: "optional",
    write_better: true,
  },
  overlap: 1,
  lease_seconds: 1800,
});

export function valuesOf(project: ProjectDetail): ProjectValues {
  const { slug, name, description, guidelines, judging, overlap, lease_seconds } = project;
  return structuredClone({ slug, name, description, guidelines, judging, overlap, lease_seconds });
}

/** Where each setting's name stands in the catalogue, by its path. */
export const LABELS = {
  name: "admin.project.name",
  description: "admin.project.description",
  guidelines: "admin.project.guidelinesTitle",
  "judging.k_default": "admin.project.k",
  "judging.ties_allowed": "admin.project.ties",
  "judging.strength": "admin.project.strength",
  "judging.axes": "admin.project.axes",
  "judging.tags": "admin.project.tags",
  "judging.rationale": "admin.project.rationale",
  "judging.write_better": "admin.project.better",
  overlap: "admin.project.overlap",
  lease_seconds: "admin.project.lease",
} as const;

/** "Größe & Stil!" -> "grosse-stil": what an address may contain. */
export function suggestedSlug(name: string): string {
  const plain = name.replace(/ß/g, "ss").normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();
  return plain.replace(/[^a-z0-9]+/g, "-").slice(0, 60).replace(/^-+|-+$/g, "");
}

/** The server names a field with its place (`judging.k_default`) or without. */
export function errorsOf(fields: Readonly<Record<string, string[]>>, name: string): string[] {
  return Object.entries(fields).flatMap(([path, errors]) => (path.split(".").includes(name) ? errors : []));
}
