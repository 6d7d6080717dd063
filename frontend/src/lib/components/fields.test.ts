import { expect, it } from "vitest";

const sources: Record<string, string> = import.meta.glob("../../**/*.svelte", { query: "?raw", import: "default", eager: true });
const files = Object.keys(sources);
const read = (name: string) => sources[name] ?? "";
/** Signs, not prose: figures, dates, files, switches, and what is written in ASCII. */
const NO_PROSE = /type="(?:number|checkbox|radio|file|datetime-local|range)"|inputmode=/;

it("lets every field begin on the side where its text does", () => {
  const without = files.flatMap((name) =>
    [...read(name).matchAll(/<(?:textarea|input)\b(?:[^>"'{]|"[^"]*"|'[^']*'|\{(?:[^{}]|\{[^{}]*\})*\})*>/g)]
      .map(([tag]) => tag)
      .filter((tag) => !NO_PROSE.test(tag) && !/\bdir="auto"|\{\.\.\.attributes\}/.test(tag))
      .map((tag) => `${name}: ${tag.slice(0, 60)}`),
  );
  expect(without).toEqual([]);
});

it("shows what was written through three components only", () => {
  const written = /(?<![=\w])\{(?!\.\.\.)(?:[\w.[\]?!]+\.)?(?:content|rationale|guidelines|demonstration\??\.text|\w*_excerpt|excerpt|note|description)\}/;
  const shows = files.filter((name) => written.test(read(name).replace(/<script[\s\S]*?<\/script>/g, "")));
  // The program's own words (settings, notes), source lines of an import as code, and a name
  // handed on to the dialog that shows it.
  expect(shows.sort()).toEqual([
    "../../admin/datasets/ManyChoice.svelte",
    "../../admin/prompts/ImportReport.svelte",
    "../../admin/training/SpecInput.svelte",
    "../../label/Home.svelte",
    "../charts/Intervals.svelte",
  ]);
});
