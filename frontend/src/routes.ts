import { adminRoutes } from "./admin/routes";
import { labelRoutes } from "./label/routes";
import SignIn from "./shell/SignIn.svelte";
import type { Route } from "$lib/router/router.svelte";

export const routes: readonly Route[] = [
  { pattern: "/sign-in", load: () => Promise.resolve({ default: SignIn }), open: true },
  ...labelRoutes,
  ...adminRoutes,
];
