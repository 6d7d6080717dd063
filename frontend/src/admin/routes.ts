import type { Route } from "$lib/router/router.svelte";

export const adminRoutes: readonly Route[] = [
  { pattern: "/projects", load: () => import("./Projects.svelte") },
  { pattern: "/projects/new", load: () => import("./ProjectNew.svelte") },
  { pattern: "/projects/:slug", load: () => import("./Overview.svelte") },
  { pattern: "/projects/:slug/overview", load: () => import("./Overview.svelte") },
  { pattern: "/projects/:slug/prompts", load: () => import("./prompts/Prompts.svelte") },
  { pattern: "/projects/:slug/prompts/import", load: () => import("./prompts/PromptImport.svelte") },
  { pattern: "/projects/:slug/prompts/:id", load: () => import("./prompts/Prompt.svelte") },
  { pattern: "/projects/:slug/rounds", load: () => import("./rounds/Rounds.svelte") },
  { pattern: "/projects/:slug/rounds/new", load: () => import("./rounds/RoundNew.svelte") },
  { pattern: "/projects/:slug/rounds/:n", load: () => import("./rounds/RoundMonitor.svelte") },
  { pattern: "/projects/:slug/rankings", load: () => import("./rankings/Rankings.svelte") },
  { pattern: "/projects/:slug/rankings/:id", load: () => import("./rankings/Ranking.svelte") },
  { pattern: "/projects/:slug/comparisons", load: () => import("./rankings/Comparisons.svelte") },
  { pattern: "/projects/:slug/export", load: () => import("./exports/Export.svelte") },
  { pattern: "/projects/:slug/members", load: () => import("./people/Members.svelte") },
  { pattern: "/projects/:slug/settings", load: () => import("./project/Settings.svelte") },
  { pattern: "/projects/:slug/audit", load: () => import("./project/Audit.svelte") },
  { pattern: "/inference", load: () => import("./Inference.svelte") },
];
