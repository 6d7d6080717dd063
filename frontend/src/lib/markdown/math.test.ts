import { Marked } from "marked";
import { expect, it } from "vitest";
import { renderMath } from "./katex";
import { mathExtensions } from "./math";

const marked = new Marked({ extensions: mathExtensions((source, display) => `[${display ? "D" : "I"} ${source}]`) });
const html = (source: string) => marked.parse(source, { async: false }).trim();

it("finds math inside a sentence without tearing it apart", () => {
  expect(html("It is $f'(x)=\\lim_{h\\to 0}$, or \\(a_b\\).")).toBe("<p>It is [I f'(x)=\\lim_{h\\to 0}], or [I a_b].</p>");
});
it("finds displayed math on lines of its own", () => {
  expect(html("So\n$$\na *b* c\n$$\nor \\[ y \\].")).toBe("<p>So</p>\n<p>[D a *b* c]</p><p>or [D y].</p>");
});
it("leaves prices alone", () => {
  expect(html("It costs $5 and $6, or $7.")).toBe("<p>It costs $5 and $6, or $7.</p>");
});
it("renders MathML without styles, and wrong input as it was written", () => {
  const good = renderMath("\\frac{1}{2}", true);
  expect(good).toContain('display="block"');
  expect(good).not.toMatch(/style=|annotation|\\frac/);
  expect(renderMath("\\frac{", false)).toContain("\\frac{");
});
