import { expect, it } from "vitest";
import { setTex } from "./katex";
import { read } from "./read";

const set = { tex: (inside: string, display: boolean) => `[${display ? "D" : "I"} ${inside}]`, code: () => null };
const html = (source: string) => read(source, set);
/** What is seen and copied: without tags and without what is hidden. */
const seen = (source: string) =>
  html(source).replace(/<span hidden>.*?<\/span>/gs, "").replace(/<[^>]+>/g, "").replace(/&lt;/g, "<").replace(/&gt;/g, ">").replace(/&quot;/g, '"').replace(/&#39;/g, "'").replace(/&amp;/g, "&");

it.each([
  "Rain on the tin roof\nsoft drums\n  the cat turns   twice",
  "2*3*4 = 24, a*b, c*d, 5**2**3",
  "__init__ and __main__, _id2_, snake_case_name, __all__",
  "SELECT *, count(*) FROM t; rm *.o*; f(*args, **kwargs); char *a, *b; /*one*/ x /*two*/",
  "\\d+\\.\\(foo\\) C:\\[temp\\]\\*new\\_ \\\\server\\share",
  "&lt;b&gt; &amp; &copy; &#39; &nbsp;",
  "3~5 days or 4~6 days, ~~not~, x = ~~a + ~~b",
  ">>> print(1)\n>>> print(2)\n1\n>seq1\nACGT",
  "[INFO]: started\n[quote]: https://example.org/x\n[quote] [text][quote]",
  "Title\n=====\n#!/bin/bash\n#hashtag",
  "<!-- note --> <b>bold</b> <img src=x alt=\"*a*\">",
  "[click](javascript:alert(1)) [here](/admin/) <javascript:x>",
  "- [ ] todo".slice(2) + "\n[x] done",
  "| a | b |\nno line of dashes",
  "`open and ``more\nnext` line",
  "![pixel](https://evil.example/p.png)",
  "tab\there   and  blanks",
])("shows every character of %j", (source) => expect(seen(source)).toBe(source));

it("numbers a list as it was numbered", () => {
  expect(seen("1. a\n1. b\n7) c")).toBe("1. a1. b7) c");
});
it("keeps what is emphasis, also between letters of scripts without blanks", () => {
  expect(html("a *b* **c** ~~d~~ _e f_")).toContain("<span hidden>*</span><em>b</em><span hidden>*</span>");
  expect(html("这是**重要**的")).toContain("<strong>");
  expect(html("*a **b** c*")).toMatch(/<em>.*<strong>.*<\/strong>.*<\/em>/);
  expect(html("**a *b** c*")).toMatch(/<strong>.*\*b.*<\/strong>.* c\*/);
});
it("nests lists, quotations and code", () => {
  const made = html("1. one\n   ```py\n   x = 1\n   ```\n   - two\n2. three\n> *q*\n> > r");
  expect(made).toMatch(/<ol><li.*<pre.*<ul>.*<\/ul><\/li><li.*<\/ol><blockquote.*<blockquote/s);
  expect(made).toContain("x = 1</code>");
});
it("keeps cells that a row has too many, and bars in code", () => {
  const made = html("| a | b |\n|---|:-:|\n| 1 | 2 | 3 |\n| `x|y` | \\| |");
  expect(made.match(/<td/g)).toHaveLength(7);
  expect(seen("| a | b |\n|---|---|\n| 1 | 2 | 3 |")).toBe("ab123");
});
it("gives every block a direction, and boxes that of their text", () => {
  expect(html("مرحبا")).toContain('<p class="text" dir="auto">');
  expect(html("- مرحبا")).toContain('<li dir="auto">');
  expect(html("> שלום")).toContain('<blockquote dir="rtl">');
  expect(html("| اسم | b |\n|---|---|")).toContain('<div class="scroll" dir="rtl">');
  expect(html("`x`")).toContain('<code dir="ltr">');
});

it.each([
  ["It is $f'(x)=\\lim_{h\\to 0} h$, or \\(a_b\\).", 2],
  ["$x$, $n+1$, $ABC$, $5$, $\\{1,2\\}$, $[0,1)$, $|x|$, $\\sin x$", 8],
  ["函数$f(x)$的值", 1],
  ["So\n$$\na * b * c = d\n$$\n\\[ y \\]", 2],
  ["costs $5 and $6, or $7; US$5 and US$6; $5-$10; between $5 and 10$", 0],
  ["export $HOME/bin:$PATH; $user->id=$row[0]; echo $a$b; $1$abc; ${x}$", 0],
  ["**\\(x\\)** (\\(y\\)), \\(n\\)th: \\(z\\)?", 4],
  ["[a-z]+\\[x\\]\\* Files\\(x86\\) \\(a\\)+ C:\\(x\\) ^\\[b\\]", 0],
  ["\\(foo\\) C:\\[temp\\] \\(\\d+\\) ^\\d+$|^$ a$|b$", 0],
  ["$\\phantom{x}$ $a % b$ $\\color{white}{x}$", 0],
])("finds the math in %j", (source, count) => {
  expect((html(source).match(/\[[DI] /g) ?? []).length).toBe(count);
});
it("sets MathML without styles, and shows what is not TeX as it was written", () => {
  expect(setTex("\\frac{1}{2}", true)).toContain('display="block"');
  expect(setTex("\\frac{1}{2}", true)).not.toMatch(/style=|annotation|\\frac/);
  expect(setTex("\\frac{", false)).toBeNull();
  expect(read("$\\nosuch{1}$", { tex: setTex, code: () => null })).toBe('<p class="text" dir="auto">$\\nosuch{1}$</p>');
});

it.each([["[a](b", 40_000], ["*a ", 60_000], ["- \n", 60_000], ["> ", 60_000], ["\\[ ", 60_000], ["`a``", 40_000], ["$$a", 60_000], ["|a|\n", 30_000], ["<a ", 60_000], ["_a*b~~", 30_000], ["_a_b", 12_250], ["_a_b ", 12_250], ["$a", 24_500], ["$a$ ", 12_250], ["*_", 24_500]] as const)("reads %j many times in a moment", (part, times) => {
  const start = performance.now();
  html(part.repeat(times));
  // A second on an idle machine; what grows with the square takes minutes.
  expect(performance.now() - start).toBeLessThan(30_000);
}, 60_000);
