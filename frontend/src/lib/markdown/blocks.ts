import { directionOf } from "./direction";
import { escaped, mark } from "./html";
import { inline, type Line, type SetTex } from "./inline";
import { alignments, cellsOf, tableAt } from "./tables";
import { readsAsTex } from "./tex";

/** Code as HTML; null for a language that is not known. */
export type SetCode = (code: string, language: string) => string | null;

export interface Setters {
  tex: SetTex;
  code: SetCode;
}

const DEEPEST = 12;
const FENCE = /^( {0,3})(`{3,}|~{3,})(?!.*`)(.*)$/;
const HEADING = /^ {0,3}(#{1,6})[ \t]+(?=\S)/;
const RULE = /^ {0,3}([-*_])(?:[ \t]*\1){2,}[ \t]*$/;
const QUOTE = /^( {0,3}>)(?: |(?=\t)|$)/;
const ITEM = /^( {0,3})([-*+]|\d{1,9}[.)])(?:([ \t]+)(?=\S)|[ \t]*$)/;
const INDENTED = /^(?: {4}| {0,3}\t)/;
const TEX = /^\s*(\$\$|\\\[)/;

interface Marker {
  whole: string;
  indent: number;
  sign: string;
  number: boolean;
  /** Items with markers of another kind are another list. */
  kind: string;
}

const BULLETS: Record<string, string> = { "-": "dash", "*": "star", "+": "plus" };

/**
 * Markdown as people and models write it, to HTML without a blank that is not in the text: white
 * space counts (`pre-wrap`). What would leave characters out without showing them by its style is no
 * construct here: definitions of links, underlined headings, entities, escapes and raw HTML are text.
 * Whatever is left out is in the document, hidden, so that `swallowed` can tell what is not.
 */
export function blocks(lines: readonly Line[], set: Setters, depth = 0): string {
  return new Blocks(lines, set, depth, false).html();
}

class Blocks {
  private readonly out: string[] = [];
  private at = 0;

  constructor(
    private readonly lines: readonly Line[],
    private readonly set: Setters,
    private readonly depth: number,
    /** In a list item the first text stands beside the marker, and gives the item its direction. */
    private readonly bare: boolean,
  ) {}

  html(): string {
    while (this.at < this.lines.length) {
      if (this.blank(this.at)) this.blanks();
      else if (!this.construct()) this.paragraph();
    }
    return this.out.join("");
  }

  private line(at: number): Line {
    return this.lines[at] ?? { before: "", text: "" };
  }

  private blank(at: number): boolean {
    return at < this.lines.length && !this.line(at).text.trim();
  }

  private blanksAt(at: number): number {
    let next = at;
    while (this.blank(next)) next++;
    return next - at;
  }

  private blanks(): void {
    while (this.blank(this.at)) this.out.push(mark(this.line(this.at++).before));
  }

  private construct(): boolean {
    return (
      this.fence() ||
      this.heading() ||
      this.rule() ||
      this.quote() ||
      this.list() ||
      this.table() ||
      this.displayed() ||
      this.indented()
    );
  }

  /** Whether a line ends the paragraph before it. */
  private begins(at: number): boolean {
    const { text } = this.line(at);
    if (FENCE.test(text) || HEADING.test(text) || RULE.test(text)) return true;
    if (this.depth < DEEPEST && (QUOTE.test(text) || ITEM.test(text))) return true;
    return tableAt(this.lines, at) || this.displayEnd(at) >= 0;
  }

  private fence(): boolean {
    const [, indent = "", fence = "", info = ""] = FENCE.exec(this.line(this.at).text) ?? [];
    if (!fence) return false;
    const closes = new RegExp(`^ {0,3}\\${fence[0]}{${fence.length},}[ \\t]*$`);
    const indented = new RegExp(`^ {0,${indent.length}}`);
    const first = this.at++;
    const inside: Line[] = [];
    while (this.at < this.lines.length && !closes.test(this.line(this.at).text)) {
      const { before, text } = this.line(this.at++);
      inside.push({ before, text: text.replace(indented, "") });
    }
    const last = this.at < this.lines.length ? this.line(this.at++) : { before: "", text: "" };
    this.pre(inside, info.trim(), mark(this.line(first).before + this.line(first).text), mark(last.before + last.text));
    return true;
  }

  private indented(): boolean {
    if (!INDENTED.test(this.line(this.at).text)) return false;
    let end = this.at;
    for (let at = this.at; INDENTED.test(this.line(at).text) || this.blank(at); at++) if (!this.blank(at)) end = at + 1;
    this.pre(this.lines.slice(this.at, end), "", "", "");
    this.at = end;
    return true;
  }

  private pre(lines: readonly Line[], info: string, opens: string, closes: string): void {
    const code = lines.map((line) => line.text).join("\n");
    const html = this.set.code(code, info.split(/\s/)[0] ?? "") ?? escaped(code);
    let line = 0;
    const marked = mark(lines[0]?.before ?? "") + html.replace(/\n/g, (end) => end + mark(lines[++line]?.before ?? ""));
    this.out.push(`<pre dir="ltr"${info ? ` data-language="${escaped(info)}"` : ""}>${opens}<code>${marked}</code>${closes}</pre>`);
  }

  private heading(): boolean {
    const { before, text } = this.line(this.at);
    const [signs = "", level = ""] = HEADING.exec(text) ?? [];
    if (!level) return false;
    this.at++;
    const tag = `h${level.length}`;
    const rest = inline([{ before: "", text: text.slice(signs.length) }], this.set.tex);
    this.out.push(`<${tag} dir="auto">${mark(before + signs)}${rest}</${tag}>`);
    return true;
  }

  private rule(): boolean {
    const { before, text } = this.line(this.at);
    if (!RULE.test(text)) return false;
    this.at++;
    this.out.push(mark(before + text), "<hr>");
    return true;
  }

  private quote(): boolean {
    if (this.depth >= DEEPEST || !QUOTE.test(this.line(this.at).text)) return false;
    const inside: Line[] = [];
    for (let found; (found = QUOTE.exec(this.line(this.at).text)); this.at++) {
      const { before, text } = this.line(this.at);
      inside.push({ before: before + found[1]?.trim(), text: text.slice(found[0].length) });
    }
    const direction = directionOf(inside.map((line) => line.text).join("\n"));
    this.out.push(`<blockquote dir="${direction}">${blocks(inside, this.set, this.depth + 1)}</blockquote>`);
    return true;
  }

  /** Items one after another with the same kind of marker, each with what is indented below it. */
  private list(): boolean {
    const first = this.depth < DEEPEST ? this.markerAt(this.at) : null;
    if (!first) return false;
    const tag = first.number ? "ol" : "ul";
    this.out.push(`<${tag}>`);
    this.item(first, false);
    for (;;) {
      const next = this.at + this.blanksAt(this.at);
      const found = this.markerAt(next);
      if (found?.kind !== first.kind) break;
      const apart = next > this.at;
      while (this.at < next) this.out.push(mark(this.line(this.at++).before));
      this.item(found, apart);
    }
    this.out.push(`</${tag}>`);
    return true;
  }

  private markerAt(at: number): Marker | null {
    const { text } = this.line(at);
    const found = RULE.test(text) ? null : ITEM.exec(text);
    if (!found) return null;
    const [whole, indent = "", sign = ""] = found;
    const number = sign.length > 1;
    return { whole, indent: indent.length, sign, number, kind: number ? sign.slice(-1) : sign };
  }

  private item({ whole, indent, sign, number }: Marker, apart: boolean): void {
    const { before, text } = this.line(this.at++);
    const inside: Line[] = [{ before: "", text: text.slice(whole.length) }];
    const width = whole.length;
    while (this.at < this.lines.length) {
      const next = this.at + this.blanksAt(this.at);
      if (next >= this.lines.length || indentOf(this.line(next).text) < indent + 2) break;
      while (this.at <= next) {
        const line = this.line(this.at++);
        inside.push({ before: line.before, text: dedented(line.text, width) });
      }
    }
    const shown = number ? `<span class="item-number">${escaped(sign)} </span>` : `<span class="bullet ${BULLETS[sign]}">${mark(sign)}</span>`;
    this.out.push(`<li dir="auto"${apart ? ' class="apart"' : ""}>${mark(before)}${shown}${new Blocks(inside, this.set, this.depth + 1, true).html()}</li>`);
  }

  private table(): boolean {
    if (!tableAt(this.lines, this.at)) return false;
    const rows: Line[] = [];
    while (this.line(this.at).text.includes("|") && !this.blank(this.at) && (rows.length < 2 || !this.startsOther())) rows.push(this.line(this.at++));
    const [head, delimiter, ...body] = rows as [Line, Line, ...Line[]];
    const aligns = alignments(delimiter.text);
    const columns = Math.max(...rows.map((row) => cellsOf(row.text).length));
    const row = (line: Line, name: "th" | "td", after = "") => {
      const cells = cellsOf(line.text);
      const html = Array.from({ length: columns }, (_, i) => {
        const cell = cells[i];
        const inside = cell ? mark(cell.before) + inline([{ before: "", text: cell.text }], this.set.tex) + mark(cell.after) : "";
        const tag = cell?.text ? name : "td";
        const align = aligns[i] ? ` align="${aligns[i]}"` : "";
        return `<${tag} dir="auto"${align}>${i === 0 ? mark(line.before) : ""}${inside}${i === columns - 1 ? after : ""}</${tag}>`;
      });
      return `<tr>${html.join("")}</tr>`;
    };
    const direction = directionOf(rows.map((line) => line.text).join("\n"));
    const top = row(head, "th", mark(delimiter.before + delimiter.text));
    const rest = body.length ? `<tbody>${body.map((line) => row(line, "td")).join("")}</tbody>` : "";
    this.out.push(`<div class="scroll" dir="${direction}"><table><thead>${top}</thead>${rest}</table></div>`);
    return true;
  }

  private startsOther(): boolean {
    const { text } = this.line(this.at);
    return FENCE.test(text) || HEADING.test(text) || QUOTE.test(text) || ITEM.test(text);
  }

  /** `$$…$$` or `\[…\]` on lines of their own. */
  private displayed(): boolean {
    const end = this.displayEnd(this.at);
    if (end < 0) return false;
    const lines = this.lines.slice(this.at, end + 1);
    this.out.push(`<div class="display">${inline(lines, this.set.tex)}</div>`);
    this.at = end + 1;
    return true;
  }

  private displayEnd(at: number): number {
    const opens = TEX.exec(this.line(at).text)?.[1];
    if (!opens) return -1;
    const closes = opens === "$$" ? /\$\$\s*$/ : /\\\]\s*$/;
    for (let end = at; end < this.lines.length && end < at + 60 && !this.blank(end); end++) {
      const text = this.line(end).text;
      if (!closes.test(end === at ? text.trimStart().slice(2) : text)) continue;
      const inside = this.lines.slice(at, end + 1).map((line) => line.text).join("\n").trim().slice(2, -2);
      return readsAsTex(inside) && !inside.includes(opens) ? end : -1;
    }
    return -1;
  }

  private paragraph(): void {
    const from = this.at++;
    while (this.at < this.lines.length && !this.blank(this.at) && !this.begins(this.at)) this.at++;
    const html = inline(this.lines.slice(from, this.at), this.set.tex);
    if (this.bare && from === 0) this.out.push(html);
    else {
      // A paragraph's element is one blank line where its text is copied; more of them stay lines.
      const blanks = this.blanksAt(this.at);
      const last = this.at + blanks >= this.lines.length;
      const tag = (last ? from === 0 || this.blank(from - 1) : blanks) ? "p" : "div";
      const more = last ? 0 : Math.max(0, blanks - 1);
      this.out.push(`<${tag} class="text${more ? " far" : ""}" dir="auto">${html}${"\n".repeat(more)}</${tag}>`);
    }
  }
}

function indentOf(text: string): number {
  let columns = 0;
  for (const sign of text) {
    if (sign === "\t") columns += 4 - (columns % 4);
    else if (sign === " ") columns++;
    else break;
  }
  return columns;
}

/** Without its first `columns` columns of white space, as far as it has them. */
function dedented(text: string, columns: number): string {
  let at = 0;
  for (let column = 0; column < columns && (text[at] === " " || text[at] === "\t"); at++) column += text[at] === "\t" ? 4 - (column % 4) : 1;
  return text.slice(at);
}
