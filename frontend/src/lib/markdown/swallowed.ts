/** What is needed of a DOM node here. */
export interface Shown {
  readonly nodeName: string;
  readonly nodeValue: string | null;
  readonly childNodes: Iterable<Shown>;
}

const MOST = 5;

/**
 * The parts of a text that its rendering lost: neither shown nor hidden behind a style (markers are
 * in the document as hidden elements). White space is not looked at. Linear in the text: one walk
 * over the nodes, one over the characters.
 */
export function swallowed(root: Shown, source: string): string[] {
  const shown = textOf(root).replace(/\s+/g, "");
  if (shown === source.replace(/\s+/g, "")) return [];
  const lost: string[] = [];
  let at = 0;
  for (let i = 0; i < source.length && lost.length < MOST; i++) {
    if (/\s/.test(source[i] as string)) continue;
    if (source[i] === shown[at]) {
      at++;
      continue;
    }
    let end = i;
    while (end < source.length && source[end] !== shown[at]) end++;
    // "one t[wo t]hree": of the places where it may have been, the one that begins a word.
    const from = shifted(source, i, end);
    lost.push(source.slice(from, end - (i - from)).trim());
    i = end - 1;
  }
  return lost;
}

function shifted(source: string, from: number, end: number): number {
  let by = 0;
  while (from - by > 0 && !/\s/.test(source[from - by - 1] as string) && source[from - by - 1] === source[end - by - 1]) by++;
  return from - by;
}

/** The formula that stands for a piece of TeX is no text: the TeX beside it is. */
function textOf(node: Shown): string {
  const parts: string[] = [];
  const rest: Shown[] = [node];
  for (let next = rest.pop(); next; next = rest.pop()) {
    if (next.nodeName.toLowerCase() === "math") continue;
    if (next.nodeValue !== null) parts.push(next.nodeValue);
    else for (const child of [...next.childNodes].reverse()) rest.push(child);
  }
  return parts.join("");
}
