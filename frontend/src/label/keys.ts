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
  if (strength && /^[0-3]$/.test(press.key)) return { do: "strength", value: Number(press.key) || null };
  const letter = latinLetter(press);
  if (letter === null) return null;
  const label = letter.toUpperCase();
  if (!press.shiftKey && labels.includes(label)) return { do: "place", label };
  return commands[letter] ?? (labels.includes(label) ? { do: "place", label } : null);
}

/** On a Cyrillic or Greek layout the position of the key says which Latin letter is meant. */
function latinLetter({ key, code }: KeyPress): string | null {
  if (/^[a-z]$/i.test(key)) return key.toLowerCase();
  if (key.length === 1 && key > "\u007f" && /^Key[A-Z]$/.test(code)) return code.slice(3).toLowerCase();
  return null;
}
