import { escaped } from "./html";

/** Only the web and mail: no link of a model leads into this site. */
const ALLOWED = /^(?:https?:\/\/|mailto:)[^\s]/i;
const LINK = /!?\[((?:[^[\]\\\n]|\\.|\[[^[\]\n]{0,200}\]){0,1000})\]\(([^\s()<>]{0,2000}(?:\([^\s()]{0,200}\)[^\s()<>]{0,2000}){0,4})((?:[ \t]+(?:"[^"\n]{0,500}"|'[^'\n]{0,500}'))?)[ \t]*\)/y;
const ADDRESS = /(?:https?:\/\/|www\.)[^\s<>"'`|\u3000-\u303f\uff00-\uff65]+/iy;
const TAG = /<(?:[/!a-z])[^<>\n]{0,1000}>/iy;

export interface Link {
  raw: string;
  label: string;
  href: string;
  title: string;
  image: boolean;
}

/** `[label](address "title")` or the same of an image; null where the address leads nowhere. */
export function linkAt(text: string, at: number): Link | null {
  LINK.lastIndex = at;
  const found = LINK.exec(text);
  if (!found) return null;
  const [raw, label = "", href = "", title = ""] = found;
  return label.trim() && ALLOWED.test(href) ? { raw, label, href, title, image: raw.startsWith("!") } : null;
}

/** A bare address as it is written, without the punctuation of the sentence around it. */
export function addressAt(text: string, at: number): string | null {
  ADDRESS.lastIndex = at;
  let found = ADDRESS.exec(text)?.[0] ?? "";
  for (let before = ""; before !== found; ) {
    before = found;
    found = found.replace(/[.,:;!?*_~\]}]+$/, "");
    if (found.endsWith(")") && found.split("(").length < found.split(")").length) found = found.slice(0, -1);
  }
  return found.length > "https://".length ? found : null;
}

/** Markup is shown as the text it is, in one piece: `<img alt="*a*">` has no emphasis. */
export function tagAt(text: string, at: number): string | null {
  TAG.lastIndex = at;
  const found = TAG.exec(text)?.[0] ?? null;
  return found && !/^<https?:/i.test(found) ? found : null;
}

export const opening = (href: string): string =>
  `<a href="${escaped(/^www\./i.test(href) ? `http://${href}` : href)}" title="${escaped(href)}">`;

/** A label that names one host over an address at another. */
export function misleads(link: Link): boolean {
  const named = /(?:https?:\/\/)?((?:[a-z0-9-]+\.)+[a-z]{2,})/i.exec(link.label)?.[1];
  const host = /^https?:\/\/([^/?#]*)/i.exec(link.href)?.[1] ?? "";
  return named !== undefined && /^\s*(?:https?:\/\/|www\.)/i.test(link.label) && !`.${host}`.toLowerCase().endsWith(`.${named.toLowerCase().replace(/^www\./, "")}`);
}
