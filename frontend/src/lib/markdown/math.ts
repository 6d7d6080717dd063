import type { MarkedExtension, TokenizerAndRendererExtension } from "marked";

/** `$…$`, `$$…$$`, `\(…\)` and `\[…\]`, as models write them; prices ("$5 and $6") stay prices. */
const inline = [/^\$(?![\s$])((?:\\.|[^\\$\n]){1,800}?)(?<!\s)\$(?!\d)/, /^\\\(([^\n]{1,800}?)\\\)/];
const block = [/^\$\$([\s\S]{1,4000}?)\$\$/, /^\\\[([\s\S]{1,4000}?)\\\]/];

export const mentionsMath = (source: string): boolean => /\$[^$\s]|\\\(|\\\[/.test(source);

export function mathExtensions(
  toHtml: (source: string, display: boolean) => string,
): NonNullable<MarkedExtension["extensions"]> {
  return [
    extension("mathBlock", "block", block, true, toHtml),
    extension("mathDisplay", "inline", block, true, toHtml),
    extension("mathInline", "inline", inline, false, toHtml),
  ];
}

function extension(
  name: string,
  level: "block" | "inline",
  patterns: readonly RegExp[],
  display: boolean,
  toHtml: (source: string, display: boolean) => string,
): TokenizerAndRendererExtension {
  return {
    name,
    level,
    start: (source) => {
      // A block begins a line; inside a line it would tear the paragraph apart.
      const at = level === "block" ? source.search(/\n(?:\$\$|\\\[)/) + 1 : source.search(/\$|\\\(|\\\[/);
      return at < 0 || (level === "block" && at === 0) ? undefined : at;
    },
    tokenizer: (source) => {
      for (const pattern of patterns) {
        const found = pattern.exec(source);
        if (found) return { type: name, raw: found[0], source: found[1] };
      }
      return undefined;
    },
    renderer: (token) => {
      const html = toHtml(String(token.source).trim(), display);
      return level === "block" ? `<p>${html}</p>` : html;
    },
  };
}
