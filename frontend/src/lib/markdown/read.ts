import { blocks, type Setters } from "./blocks";

/** Markdown to HTML in which every character of the source is: shown, or hidden by the style that shows it. */
export function read(source: string, set: Setters): string {
  const lines = source.replace(/\r\n?/g, "\n").split("\n").map((text) => ({ before: "", text }));
  return blocks(lines, set);
}
