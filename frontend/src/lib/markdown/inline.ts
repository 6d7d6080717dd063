import { isName, runAt, TAGS, type Run } from "./emphasis";
import { escaped, mark } from "./html";
import { addressAt, linkAt, misleads, opening, tagAt, type Link } from "./links";
import { texAt, type Tex } from "./tex";

/** One line of a block: what the blocks around it took from its start, and the rest. */
export interface Line {
  /** `>` of quotations; blanks are left out. */
  before: string;
  text: string;
}

/** Math as HTML; null when it cannot be set, and then it is shown as it was written. */
export type SetTex = (inside: string, display: boolean) => string | null;

interface Opener extends Run {
  /** Where its sign stands in `out`, and where the text after it begins in the source. */
  at: number;
  from: number;
}

/** What is inside a block: text with its line breaks, emphasis, code, links and math. */
export function inline(lines: readonly Line[], setTex: SetTex): string {
  return new Inline(lines, setTex).html();
}

class Inline {
  private readonly out: string[] = [];
  private line = 0;
  private openers = new Map<string, Opener[]>();
  private inLink = false;

  constructor(
    private readonly lines: readonly Line[],
    private readonly setTex: SetTex,
  ) {}

  html(): string {
    this.out.push(mark(this.lines[0]?.before ?? ""));
    this.scan(this.lines.map((line) => line.text).join("\n"));
    return this.out.join("");
  }

  /** Text as it is, with its line breaks and with what the blocks around took from each line. */
  private text(text: string): void {
    let from = 0;
    for (let at = text.indexOf("\n"); at >= 0; at = text.indexOf("\n", from)) {
      this.out.push(escaped(text.slice(from, at + 1)), mark(this.lines[++this.line]?.before ?? ""));
      from = at + 1;
    }
    this.out.push(escaped(text.slice(from)));
  }

  private scan(text: string): void {
    const special = /[`$\\[!*_~<]|https?:\/\/|www\./gi;
    let at = 0;
    while (at < text.length) {
      special.lastIndex = at;
      const found = special.exec(text);
      if (!found) break;
      if (found.index > at) this.text(text.slice(at, found.index));
      at = found.index + this.special(text, found.index);
    }
    this.text(text.slice(at));
  }

  /** Handles what begins at `at`; returns how many characters that were. */
  private special(text: string, at: number): number {
    switch (text[at]) {
      case "`":
        return this.code(text, at);
      case "$":
      case "\\":
        return this.tex(texAt(text, at)) || this.literal(text.slice(at, at + (text[at] === "\\" && text[at + 1] !== "\n" ? 2 : runLength(text, at))));
      case "[":
      case "!":
        return this.link(linkAt(text, at)) || this.literal(text[at] as string);
      case "<":
        return this.literal(tagAt(text, at) ?? "<");
      case "*":
      case "_":
      case "~":
        return this.emphasis(text, at);
      default:
        return this.address(text, at);
    }
  }

  private literal(text: string): number {
    this.text(text);
    return text.length;
  }

  private code(text: string, at: number): number {
    const count = runLength(text, at);
    const fence = text.slice(at, at + count);
    const end = closingRun(text, at + count, count);
    if (end < 0) return this.literal(fence);
    this.out.push(mark(fence), '<code dir="ltr">');
    this.text(text.slice(at + count, end));
    this.out.push("</code>", mark(fence));
    return end + count - at;
  }

  /** The source is what is copied, the formula is what is seen. */
  private tex(found: Tex | null): number {
    const html = found && this.setTex(found.inside.trim(), found.display);
    if (!found || html === null) return 0;
    this.out.push('<span class="math" dir="ltr"><span class="tex" aria-hidden="true">');
    this.text(found.raw);
    this.out.push('</span><span class="formula">', html, "</span></span>");
    return found.raw.length;
  }

  private link(link: Link | null): number {
    if (!link || this.inLink || misleads(link)) return 0;
    const { raw, label, href, title } = link;
    if (link.image) {
      // A picture is never loaded; its source says what it is.
      this.out.push(opening(href), escaped(raw), "</a>");
      return raw.length;
    }
    this.out.push(mark("["), opening(href));
    const outside = this.openers;
    this.openers = new Map();
    this.inLink = true;
    this.scan(label);
    this.inLink = false;
    this.openers = outside;
    // The title is the one part that nothing on the page shows: it is left out, and found missing.
    this.out.push("</a>", mark(`](${raw.slice(label.length + 3, raw.length - 1).replace(title, "")})`));
    return raw.length;
  }

  private address(text: string, at: number): number {
    const found = this.inLink || /[\p{Script=Latin}\p{N}_]/u.test(text[at - 1] ?? "") ? null : addressAt(text, at);
    if (!found) return this.literal(text[at] as string);
    this.out.push(opening(found), escaped(found), "</a>");
    return found.length;
  }

  private emphasis(text: string, at: number): number {
    const run = runAt(text, at);
    const signs = run.sign.repeat(run.count);
    const kind = run.sign + run.count;
    const opener = run.closes ? this.openers.get(kind)?.at(-1) : undefined;
    if (opener && isName(run.sign, run.count, text.slice(opener.from, at))) this.openers.get(kind)?.pop();
    else if (opener && at > opener.from) {
      const [open, close] = TAGS[`${run.sign === "_" ? "*" : run.sign}${run.count}`] as readonly [string, string];
      this.out[opener.at] = mark(signs) + open;
      this.out.push(close + mark(signs));
      // What was opened in between stays as it is.
      for (const stack of this.openers.values()) while ((stack.at(-1)?.at ?? -1) >= opener.at) stack.pop();
      return run.count;
    }
    if (run.opens) {
      const stack = this.openers.get(kind) ?? [];
      stack.push({ ...run, at: this.out.length, from: at + run.count });
      this.openers.set(kind, stack);
    }
    this.out.push(signs);
    return run.count;
  }
}

function runLength(text: string, at: number): number {
  let end = at;
  while (text[end] === text[at]) end++;
  return end - at;
}

function closingRun(text: string, from: number, count: number): number {
  const line = text.indexOf("\n", from);
  for (let at = text.indexOf("`", from); at >= 0 && (line < 0 || at < line); ) {
    const length = runLength(text, at);
    if (length === count) return at;
    at = text.indexOf("`", at + length);
  }
  return -1;
}
