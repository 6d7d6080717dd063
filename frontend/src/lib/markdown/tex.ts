/**
 * Does a text between dollar signs or `\(…\)` read as TeX? Shell variables, PHP, regular expressions,
 * paths and prices stand between the same signs; where it is in doubt, the text stays as written.
 */
export function readsAsTex(source: string): boolean {
  const inside = source.trim();
  if (!inside || HIDES.test(inside) || CODE.test(inside)) return false;
  if (!balanced(inside)) return false;
  if (COMMAND.test(inside)) return !/[A-Za-z]:\\/.test(inside);
  if (DANGLING.test(inside)) return false;
  // What is left without indices is single letters, points of a figure, functions and numbers.
  const words = inside.replace(/[_^]\{[^{}]*\}/g, " ").match(/[A-Za-z]+/g) ?? [];
  if (!words.every((word) => word.length <= 2 || /^[A-Z]{3,4}$/.test(word) || FUNCTION.test(word))) return false;
  return /[\p{L}\d]/u.test(inside) && !/[^\x20-\x7e\n\p{Script=Greek}\p{Sm}°′″·…≠≤≥]/u.test(inside);
}

/** What TeX itself would leave out or dress up: comments, phantoms, colours, definitions. */
const HIDES = /(?:^|[^\\])%|\\(?:[hv]?phantom|color|textcolor|colorbox|fcolorbox|def|gdef|edef|let|newcommand|renewcommand|rlap|llap|[cr]?lap|mathllap|mathrlap|smash|href|url|html\w+|include\w+|tag|label)(?![a-zA-Z])/;
const CODE = /->|=>|::|\/\/|&&|\+\+|;$|;\s|["`$#@?~]|\['|\[\^|\[\w-\w|\w\.\w+\(/;
const COMMAND = /\\[a-zA-Z]{2,}|\\[,!{}|]/;
/** An operator with nothing before or after it is the end of something else. */
const DANGLING = /^(?:[*+?^_)\]}.,;:/=]|\{)|[-+*/=<>^_,;:&\\]$/;
const FUNCTION = /^(?:sin|cos|tan|cot|sec|csc|log|exp|lim|max|min|sup|inf|det|gcd|lcm|mod|dim|ker|arg|deg|Pr|arcsin|arccos|arctan|sinh|cosh|tanh)$/;

function balanced(text: string): boolean {
  const count = (signs: RegExp) => text.replace(/\\[{}]/g, "").match(signs)?.length ?? 0;
  return (
    count(/\{/g) === count(/\}/g) &&
    count(/[([]/g) === count(/[)\]]/g) &&
    (count(/\|/g) % 2 === 0 || /\\/.test(text) || /[^|]\|[^|]/.test(text) && /[({]/.test(text))
  );
}

/** Letters of scripts that put blanks between words, digits, underscore: code and prices go on with these. */
const GOES_ON = /[\p{Script=Latin}\p{Script=Greek}\p{Script=Cyrillic}\p{Nd}_]/u;

/** TeX that begins at `at`: its delimiters, what is inside, and whether it stands on a line of its own. */
export interface Tex {
  raw: string;
  inside: string;
  display: boolean;
}

export function texAt(text: string, at: number): Tex | null {
  for (const { opens, closes, display, most } of DELIMITERS) {
    if (!text.startsWith(opens, at)) continue;
    const from = at + opens.length;
    const to = closing(text, from, closes, most, display);
    if (to < 0) return null;
    const inside = text.slice(from, to);
    const end = to + closes.length;
    if (opens === "$" ? !tight(text, at, inside, end) : opens !== "$$" && !apart(text, at, end)) return null;
    return readsAsTex(inside) ? { raw: text.slice(at, end), inside, display } : null;
  }
  return null;
}

const DELIMITERS = [
  { opens: "$$", closes: "$$", display: true, most: 1_500 },
  { opens: "$", closes: "$", display: false, most: 800 },
  { opens: "\\(", closes: "\\)", display: false, most: 800 },
  { opens: "\\[", closes: "\\]", display: true, most: 1_500 },
] as const;

function closing(text: string, from: number, closes: string, most: number, lines: boolean): number {
  const window = text.slice(from, from + most + closes.length);
  const end = lines ? -1 : window.indexOf("\n");
  for (let at = window.indexOf(closes); at >= 0 && (end < 0 || at < end); at = window.indexOf(closes, at + 1)) {
    if (!escapedAt(window, at)) return from + at;
  }
  return -1;
}

function escapedAt(text: string, at: number): boolean {
  let slashes = 0;
  while (text[at - 1 - slashes] === "\\") slashes++;
  return slashes % 2 === 1;
}

function tight(text: string, at: number, inside: string, end: number): boolean {
  const [before, after] = [text[at - 1] ?? "", text[end] ?? ""];
  return !/^\s|\s$/.test(inside) && !GOES_ON.test(before) && !GOES_ON.test(after) && !/[$\\]/.test(before) && after !== "$";
}

/** Behind a word, a path or a sign of a regular expression, or before one, brackets are these signs. */
function apart(text: string, at: number, end: number): boolean {
  const before = text.slice(Math.max(0, at - 3), at).replace(/(?:\*\*|__)$/, "").at(-1) ?? "";
  return !GOES_ON.test(before) && !/[:+\\/.)\]}^$?*]/.test(before) && !/[+\\/{$]/.test(text[end] ?? "");
}
