import katex from "katex";

export type RenderMath = (source: string, display: boolean) => string;

/** MathML, which needs no style sheet, font or inline style; wrong input is shown as it was written. */
export const renderMath: RenderMath = (source, display) => {
  const html = katex.renderToString(source, {
    output: "mathml",
    displayMode: display,
    throwOnError: false,
    maxExpand: 200,
    maxSize: 20,
    trust: false,
  });
  return html
    // The TeX source inside <annotation> would become visible text once that element is sanitized away.
    .replace(/<annotation[^>]*>[\s\S]*?<\/annotation>/g, "")
    // The sanitizer takes styles away, but its parser would report each to the console first.
    .replace(/ style="[^"]*"/g, "");
};
