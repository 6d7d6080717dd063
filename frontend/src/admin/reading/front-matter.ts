/** A card without the YAML at its beginning, which is for machines. */
export function withoutFrontMatter(card: string): string {
  return card.replace(/^---\r?\n[\s\S]*?\r?\n---\r?\n/, "").trimStart();
}
