import type { PromptContent } from "$lib/api/types";

/** First words of what the user asked last, on one line. */
export function excerptOf(prompt: PromptContent, length = 120): string {
  const last = prompt.messages.findLast((message) => message.role === "user") ?? prompt.messages.at(-1);
  const text = (last?.content ?? "").replace(/\s+/g, " ").trim();
  return text.length > length ? `${text.slice(0, length - 1).trimEnd()}…` : text;
}
