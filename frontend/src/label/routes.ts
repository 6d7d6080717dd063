import type { Route } from "$lib/router/router.svelte";

export const labelRoutes: readonly Route[] = [
  { pattern: "/", load: () => import("./Home.svelte") },
  { pattern: "/label/:slug", load: () => import("./Workbench.svelte") },
  { pattern: "/outbox/:seq", load: () => import("./outbox/EditItem.svelte") },
  { pattern: "/rankings", load: () => import("./rankings/MyRankings.svelte") },
  { pattern: "/rankings/:id", load: () => import("./rankings/RankingPage.svelte") },
];
