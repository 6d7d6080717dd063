import type { Route } from "$lib/router/router.svelte";

export const labelRoutes: readonly Route[] = [
  { pattern: "/", load: () => import("./Home.svelte") },
];
