const escapes: Record<string, string> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };

export const escaped = (text: string): string => text.replace(/[&<>"']/g, (c) => escapes[c] as string);

/**
 * A marker that the style shows (the stars around bold text): in the document, so that nothing of
 * the source is missing there, but neither seen nor copied.
 */
export const mark = (text: string): string => (text.trim() ? `<span hidden>${escaped(text)}</span>` : "");
