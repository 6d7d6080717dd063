import katex from "katex";
import type { SetTex } from "./inline";

/** MathML, which needs no style sheet, font or inline style; null for what is not TeX. */
export const setTex: SetTex = (source, display) => {
  try {
    const html = katex.renderToString(source, {
      output: "mathml",
      displayMode: display,
      throwOnError: true,
      strict: "ignore",
      maxExpand: 200,
      maxSize: 20,
      trust: false,
    });
    return html
      // The TeX source inside <annotation> would become visible text once that element is sanitized away.
      .replace(/<annotation[^>]*>[\s\S]*?<\/annotation>/g, "")
      // The sanitizer takes styles away, but its parser would report each to the console first.
      .replace(/ style="[^"]*"/g, "");
  } catch {
    return null;
  }
};
