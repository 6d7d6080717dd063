import DOMPurify from "dompurify";
import { Marked, type Tokens } from "marked";
import type { Highlight } from "./highlight";
import { mathExtensions, mentionsMath } from "./math";
import type { RenderMath } from "./katex";

/**
 * Untrusted Markdown to DOM. Raw HTML is shown as the text it is, images become links, and what
 * is left goes through DOMPurify (the second wall; the page's Content-Security-Policy is the third).
 *
 * The highlighter and the math renderer are loaded when a text first needs them; rendered texts
 * are kept, so that a task fetched ahead is painted without any of this work.
 */
const KEEP = 120;
/** Beyond this, text is shown as it is: no labeler reads it, and parsing would freeze the page. */
const TOO_LONG = 200_000;

const kept = new Map<string, DocumentFragment>();
let highlight: Highlight | null = null;
let renderMath: RenderMath | null = null;

const escapes: Record<string, string> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };
const escaped = (text: string): string => text.replace(/[&<>"']/g, (c) => escapes[c] as string);

const marked = new Marked({
  gfm: true,
  breaks: false,
  extensions: mathExtensions((source, display) => renderMath?.(source, display) ?? `<code>${escaped(source)}</code>`),
  renderer: {
    html: ({ text }: Tokens.HTML | Tokens.Tag) => escaped(text),
    image: ({ href, text }) => `<a href="${escaped(href)}">${escaped(text || href)}</a>`,
    code: ({ text, lang }) => `<pre><code>${highlight?.(text, lang?.split(/\s/)[0] ?? "") ?? escaped(text)}</code></pre>`,
    // The corner of a table is no header of anything.
    tablecell({ header, tokens, align }: Tokens.TableCell) {
      const content = this.parser.parseInline(tokens);
      const name = header && content ? "th" : "td";
      return `<${name}${align ? ` align="${align}"` : ""}>${content}</${name}>`;
    },
    // A checkbox of a task list is content here, not a control.
    checkbox: ({ checked }) => (checked ? "☑ " : "☐ "),
  },
});

DOMPurify.addHook("afterSanitizeAttributes", (node) => {
  if (node.nodeName !== "A") return;
  // No link of a model leads into this site, or anywhere but the web and mail.
  if (!/^(?:https?:|mailto:)/i.test(node.getAttribute("href") ?? "")) node.removeAttribute("href");
  node.setAttribute("target", "_blank");
  node.setAttribute("rel", "noopener noreferrer nofollow");
});

/** The rendered text if it is ready; the caller clones it. */
export function ready(source: string): DocumentFragment | null {
  return kept.get(source) ?? null;
}

export async function render(source: string): Promise<DocumentFragment> {
  const before = kept.get(source);
  if (before) return before;
  await loadWhatIsNeeded(source);
  const fragment = toFragment(source);
  kept.set(source, fragment);
  const oldest = kept.keys().next().value;
  if (kept.size > KEEP && oldest !== undefined) kept.delete(oldest);
  return fragment;
}

async function loadWhatIsNeeded(source: string): Promise<void> {
  const needsCode = !highlight && /```|~~~/.test(source);
  const needsMath = !renderMath && mentionsMath(source);
  await Promise.all([
    needsCode && import("./highlight").then((module) => (highlight = module.highlight)),
    needsMath && import("./katex").then((module) => (renderMath = module.renderMath)),
  ]);
}

function toFragment(source: string): DocumentFragment {
  if (source.length > TOO_LONG) return plain(source);
  let html: string;
  try {
    html = marked.parse(source, { async: false });
  } catch (thrown) {
    // Thousands of nested quotes overflow the parser's stack: the text itself is still worth showing.
    console.warn("Markdown could not be parsed; showing the text as it is.", thrown);
    return plain(source);
  }
  const fragment = DOMPurify.sanitize(html, {
    USE_PROFILES: { html: true, mathMl: true },
    FORBID_TAGS: ["img", "style", "form", "input", "button", "select", "textarea", "video", "audio", "picture", "source"],
    FORBID_ATTR: ["style", "id", "name", "srcset", "src", "background", "ping"],
    ALLOW_DATA_ATTR: false,
    RETURN_DOM_FRAGMENT: true,
  });
  // The corner of a table is no heading of anything.
  for (const head of fragment.querySelectorAll("th:empty")) head.replaceWith(document.createElement("td"));
  return fragment;
}

function plain(source: string): DocumentFragment {
  const fragment = document.createDocumentFragment();
  const pre = document.createElement("pre");
  pre.textContent = source;
  fragment.append(pre);
  return fragment;
}
