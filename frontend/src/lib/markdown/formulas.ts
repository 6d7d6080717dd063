/**
 * Puts each formula into a tree of its own: its letters and their boxes are seen and spoken, but they
 * are no text of the page. What is selected and copied is the TeX beside it.
 */
export function encloseFormulas(node: ParentNode): void {
  for (const formula of node.querySelectorAll(".formula")) {
    const inside = [...formula.childNodes];
    formula.attachShadow({ mode: "open" }).append(...inside);
  }
}
