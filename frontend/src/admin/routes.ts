import type { Route } from "$lib/router/router.svelte";

export const adminRoutes: readonly Route[] = [];
