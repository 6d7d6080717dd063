import { fileURLToPath } from "node:url";
import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig } from "vitest/config";

// The host stays the one that the browser asked for: Django compares it with the origin of a POST.
const backend = { target: process.env.PREFLOOP_BACKEND ?? "http://127.0.0.1:8000", changeOrigin: false };

export default defineConfig(({ command }) => ({
  plugins: [svelte()],
  // Django serves dist/ under /static/ and dist/index.html for every browser route.
  base: command === "build" ? "/static/" : "/",
  resolve: { alias: { $lib: fileURLToPath(new URL("./src/lib", import.meta.url)) } },
  build: { target: "es2022", assetsInlineLimit: 0, modulePreload: { polyfill: false } },
  // A property of many random cases takes its time on a machine with other things to do.
  test: { testTimeout: 240_000 },
  server: { proxy: { "/api": backend, "/admin": backend, "/static": backend } },
}));
