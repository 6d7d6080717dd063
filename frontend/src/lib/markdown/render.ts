import DOMPurify from "dompurify";
import type { Setters } from "./blocks";
import type { Highlight } from "./highlight";
import type { SetTex } from "./inline";
import { read } from "./read";
import { swallowed } from "./swallowed";

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

/** Of a text; what comes after them is shown as it was written. Ten thousand took seconds. */
const MOST_FORMULAS = 1_000;

export interface Rendered {
  /** To be cloned. */
  fragment: DocumentFragment;
  /** What the formatting left out of the text without a sign of it; the raw text has it. */
  lost: readonly string[];
}

const kept = new Map<string, Rendered>();
let highlight: Highlight | null = null;
let setTex: SetTex | null = null;

DOMPurify.addHook("afterSanitizeAttributes", (node) => {
  if (node.nodeName !== "A") return;
  // No link of a model leads into this site, or anywhere but the web and mail.
  if (!/^(?:https?:|mailto:)/i.test(node.getAttribute("href") ?? "")) node.removeAttribute("href");
  node.setAttribute("target", "_blank");
  node.setAttribute("rel", "noopener noreferrer nofollow");
});

/** The rendered text if it is ready. */
export function ready(source: string): Rendered | null {
  return kept.get(source) ?? null;
}

export async function render(source: string): Promise<Rendered> {
  const before = kept.get(source);
  if (before) return before;
  const rendered = source.length > TOO_LONG ? plain(source) : await toRendered(source);
  kept.set(source, rendered);
  const oldest = kept.keys().next().value;
  if (kept.size > KEEP && oldest !== undefined) kept.delete(oldest);
  return rendered;
}

async function toRendered(source: string): Promise<Rendered> {
  const wanted = { code: false, tex: false };
  let formulas = 0;
  const set: Setters = {
    code: (code, language) => {
      if (language && !highlight) wanted.code = true;
      return highlight?.(code, language) ?? null;
    },
    tex: (inside, display) => {
      if (!setTex) wanted.tex = true;
      return ++formulas <= MOST_FORMULAS ? (setTex?.(inside, display) ?? null) : null;
    },
  };
  let html = read(source, set);
  if (wanted.code || wanted.tex) {
    await Promise.all([
      wanted.code && import("./highlight").then((module) => (highlight = module.highlight)),
      wanted.tex && import("./katex").then((module) => (setTex = module.setTex)),
    ]);
    formulas = 0;
    html = read(source, set);
  }
  const fragment = DOMPurify.sanitize(html, {
    USE_PROFILES: { html: true, mathMl: true },
    FORBID_TAGS: ["img", "style", "form", "input", "button", "select", "textarea", "video", "audio", "picture", "source"],
    FORBID_ATTR: ["style", "id", "name", "srcset", "src", "background", "ping"],
    ADD_ATTR: ["data-language"],
    ALLOW_DATA_ATTR: false,
    RETURN_DOM_FRAGMENT: true,
  });
  return { fragment, lost: swallowed(fragment, source) };
}

function plain(source: string): Rendered {
  const fragment = document.createDocumentFragment();
  const box = document.createElement("div");
  box.className = "text";
  box.dir = "auto";
  box.textContent = source;
  fragment.append(box);
  return { fragment, lost: [] };
}
