import type { Sheet, WordField } from "./sheet.svelte";

/**
 * A field that opens takes the focus, so that what is typed next are words and no commands.
 * Not under a finger: there nothing is typed until the field is touched, and the keyboard would
 * cover the response.
 */
export function takingFocus(sheet: Sheet, field: WordField): (node: HTMLElement) => void {
  return (node) => {
    if (sheet.asking !== field) return;
    sheet.asking = null;
    if (matchMedia("(pointer: coarse)").matches) node.scrollIntoView({ block: "nearest" });
    else node.focus();
  };
}
