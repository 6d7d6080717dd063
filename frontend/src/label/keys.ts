import type { Label } from "./ranking";

/** What a key means in the workbench. */
export type Command =
  | { do: "place"; label: Label }
  | { do: "strength"; value: number | null }
  | { do: "focus"; step: 1 | -1 }
  | { do: "nudge"; step: 1 | -1 }
  | { do: "tie" | "takeBack" | "unacceptable" | "submit" | "undo" | "skip" | "flag" | "keys" | "guidelines" | "raw" | "escape" };

export interface KeyPress {
  key: string;
  code: string;
  shiftKey: boolean;
  ctrlKey: boolean;
  metaKey: boolean;
  altKey: boolean;
}

/** Command keys. With Shift they always work, also where the plain letter names a response (F, G). */
const commands: Readonly<Record<string, Command>> = {
  x: { do: "unacceptable" },
  u: { do: "undo" },
  s: { do: "skip" },
  f: { do: "flag" },
  g: { do: "guidelines" },
  r: { do: "raw" },
};

const others: Readonly<Record<string, Command>> = {
  "=": { do: "tie" },
  Backspace: { do: "takeBack" },
  Enter: { do: "submit" },
  "?": { do: "keys" },
  "؟": { do: "keys" },
  Escape: { do: "escape" },
  ArrowLeft: { do: "focus", step: -1 },
  ArrowRight: { do: "focus", step: 1 },
  ArrowUp: { do: "nudge", step: -1 },
  ArrowDown: { do: "nudge", step: 1 },
};

export function commandFor(press: KeyPress, labels: readonly Label[], strength: boolean): Command | null {
  if (press.ctrlKey || press.metaKey || press.altKey) return null;
  const known = others[press.key];
  if (known) return known;
  const figure = strength ? figureOf(press) : null;
  if (figure !== null) return { do: "strength", value: figure || null };
  const letter = latinLetter(press);
  if (letter === null) return null;
  const label = letter.toUpperCase();
  if (!press.shiftKey && labels.includes(label)) return { do: "place", label };
  return commands[letter] ?? (labels.includes(label) ? { do: "place", label } : null);
}

/**
 * What the key writes says which letter is meant; where it writes none of ours (Cyrillic, Greek,
 * the two characters of Arabic "لا"), its position on the keyboard does.
 */
function latinLetter({ key, code }: KeyPress): string | null {
  if (/^[a-z]$/i.test(key)) return key.toLowerCase();
  return saysNothing(key) && /^Key[A-Z]$/.test(code) ? code.slice(3).toLowerCase() : null;
}

/** Strength 0 to 3. On a French keyboard the key of the 1 writes "&" without Shift. */
function figureOf({ key, code, shiftKey }: KeyPress): number | null {
  if (/^[0-3]$/.test(key)) return Number(key);
  return !shiftKey && !/^[\da-z]$/i.test(key) && !isNamed(key) && /^Digit[0-3]$/.test(code) ? Number(code.slice(5)) : null;
}

/** A key that writes a character of ASCII means that one: the full stop of a Dvorak keyboard is no E. */
const saysNothing = (key: string): boolean => !isNamed(key) && !/^[ -~]$/.test(key);

/** "Tab", "F5", "Home" have a meaning of their own; the names of the browser for "I cannot tell" do not. */
const isNamed = (key: string): boolean => /^[A-Z][A-Za-z\d]+$/.test(key) && !["Dead", "Unidentified", "Process"].includes(key);
