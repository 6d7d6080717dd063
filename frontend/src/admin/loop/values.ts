/** An object from JSON text, empty for no text; null when it is not an object of JSON. */
export function parseValues(text: string): Record<string, unknown> | null {
  if (!text.trim()) return {};
  try {
    const found: unknown = JSON.parse(text);
    return found && typeof found === "object" && !Array.isArray(found) ? (found as Record<string, unknown>) : null;
  } catch {
    return null;
  }
}
