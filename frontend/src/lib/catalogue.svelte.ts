import en from "../messages/en";

/**
 * Message catalogue. English is the source; another language is a file with the same keys.
 * `{name}` is replaced by a parameter; a message with forms (`one`, `other`) is chosen by `n`.
 */
export type Catalogue = Record<keyof typeof en, Message>;
export type MessageKey = keyof typeof en;
type Message = string | { one: string; other: string; few?: string; many?: string; two?: string; zero?: string };
type Parameters = Record<string, string | number>;

let state = $state.raw({ language: "en", messages: en as Catalogue });
const plurals = new Map<string, Intl.PluralRules>();

/** Whether there is a message of this name: what the server calls something may be newer. */
export const isMessage = (key: string): key is MessageKey => key in en;

export function speak(language: string, messages: Catalogue): void {
  state = { language, messages };
  document.documentElement.lang = language;
}

export function language(): string {
  return state.language;
}

export function t(key: MessageKey, parameters: Parameters = {}): string {
  const message = state.messages[key];
  const text = typeof message === "string" ? message : formFor(message, Number(parameters.n));
  return text.replace(/\{(\w+)\}/g, (whole, name: string) => {
    const value = parameters[name];
    if (value === undefined) return whole;
    return typeof value === "number" ? value.toLocaleString(state.language) : value;
  });
}

function formFor(message: Exclude<Message, string>, n: number): string {
  let rules = plurals.get(state.language);
  if (!rules) plurals.set(state.language, (rules = new Intl.PluralRules(state.language)));
  return message[rules.select(n)] ?? message.other;
}
