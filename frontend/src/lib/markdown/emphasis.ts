/**
 * Which stars, underscores and tildes are emphasis. CommonMark takes `2*3*4`, `count(*), f(*)` and
 * `__init__` for it, and swallows the signs; here a sign that touches a word on its outer side, or
 * that reads as code, is the sign itself.
 */
export interface Run {
  sign: string;
  count: number;
  opens: boolean;
  closes: boolean;
}

const LONGEST = 3;
const WORD = /[\p{Script=Latin}\p{Script=Greek}\p{Script=Cyrillic}\p{Nd}\\/]/u;
const ANY_WORD = /[\p{L}\p{N}\\/]/u;
const BLANK = /^\s?$/;

/** The run of `sign` that begins at `at`; null where it is not emphasis whatever follows. */
export function runAt(text: string, at: number): Run {
  const sign = text[at] as string;
  let end = at;
  while (text[end] === sign) end++;
  const count = end - at;
  const none = { sign, count, opens: false, closes: false };
  if (count > LONGEST || (sign === "~" && count !== 2)) return none;
  const before = lastCharacter(text, at);
  const after = firstCharacter(text, end);
  const word = sign === "_" ? ANY_WORD : WORD;
  return {
    sign,
    count,
    opens: !BLANK.test(after) && !word.test(before) && !/[)\]}]/.test(before) && !(count === 1 && /[.,;:!?)\]}/=+|^%&]/.test(after)),
    closes: !BLANK.test(before) && !word.test(after) && !/[([{]/.test(after) && !(count === 1 && /[([{=+|/]/.test(before)),
  };
}

/** `__init__` and `_id2_` are names. */
export const isName = (sign: string, count: number, inside: string): boolean =>
  sign === "_" && /^\w+$/.test(inside) && (count === 2 || /[\d_]/.test(inside));

function firstCharacter(text: string, at: number): string {
  const point = text.codePointAt(at);
  return point === undefined ? "" : String.fromCodePoint(point);
}

function lastCharacter(text: string, end: number): string {
  return /[\uDC00-\uDFFF]/.test(text[end - 1] ?? "") ? text.slice(Math.max(0, end - 2), end) : (text[end - 1] ?? "");
}

export const TAGS: Record<string, readonly [string, string]> = {
  "*1": ["<em>", "</em>"],
  "*2": ["<strong>", "</strong>"],
  "*3": ["<em><strong>", "</strong></em>"],
  "~2": ["<del>", "</del>"],
};
