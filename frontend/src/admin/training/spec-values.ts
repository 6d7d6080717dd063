import type { Spec, SpecField, SpecValue, SpecValues } from "$lib/api/run-types";

/** What a person changed of a spec, by path ("optimizer.lr"). */
export type Edits = Readonly<Record<string, SpecValue>>;

/** As the API takes it: by section. */
export function nested(edits: Edits): SpecValues {
  const values: Record<string, SpecValue | Record<string, SpecValue>> = {};
  for (const [path, value] of Object.entries(edits)) {
    const [section, name] = path.split(".") as [string, string | undefined];
    if (name === undefined) values[section] = value;
    else values[section] = { ...(values[section] as Record<string, SpecValue> | undefined), [name]: value };
  }
  return values;
}

/** The value at a path of a whole spec; undefined where the spec has none. */
export function valueIn(spec: Spec, path: string): SpecValue | undefined {
  let found: unknown = spec;
  for (const part of path.split(".")) {
    if (typeof found !== "object" || found === null) return undefined;
    found = (found as Record<string, unknown>)[part];
  }
  return found as SpecValue | undefined;
}

export const same = (a: SpecValue | undefined, b: SpecValue | undefined): boolean => JSON.stringify(a) === JSON.stringify(b);

/** A run ends after so many epochs or so many steps: one of the two says it. */
const EITHER: Readonly<Record<string, string>> = {
  "training.epochs": "training.max_steps",
  "training.max_steps": "training.epochs",
};

/** Edits with one more; the value that would stand there anyway is none. */
export function edited(edits: Edits, path: string, value: SpecValue, usual: SpecValue | undefined): Edits {
  if (same(value, usual) && !(path in EITHER)) return without(edits, path);
  const other = EITHER[path];
  return { ...edits, [path]: value, ...(other && value !== null ? { [other]: null } : {}) };
}

export function without(edits: Edits, path: string): Edits {
  const both = new Set([path, EITHER[path]]);
  return Object.fromEntries(Object.entries(edits).filter(([each]) => !both.has(each)));
}

export type FieldKind = "flag" | "choice" | "whole" | "number" | "list" | "text";

const KINDS: Record<SpecField["type"], FieldKind> = {
  boolean: "flag",
  choice: "choice",
  integer: "whole",
  number: "number",
  numbers: "list",
  names: "list",
  text: "text",
};
export const kindOf = ({ type }: SpecField): FieldKind => KINDS[type];

export const written = (value: SpecValue | undefined): string =>
  value === null || value === undefined ? "" : Array.isArray(value) ? value.join(", ") : String(value);

/** What was typed into a field; an empty one is the absence of a value. */
export function parsed(field: SpecField, text: string): SpecValue {
  const kind = kindOf(field);
  const plain = text.trim();
  if (plain === "") return null;
  if (kind === "whole" || kind === "number") return Number(plain);
  // "all-linear" is no list of one name.
  if (kind !== "list" || plain === field.default) return plain;
  return plain.split(",").map((part) => {
    const item = part.trim();
    return item !== "" && Number.isFinite(Number(item)) ? Number(item) : item;
  });
}

export type Refusal = "number" | "whole" | "range" | "missing";

/** Why a value cannot be, as far as it can be known here; the server knows the rest. */
export function refusalOf(field: SpecField, value: SpecValue): Refusal | null {
  const kind = kindOf(field);
  if (value === null) return field.default === null || field.path in EITHER || kind === "text" ? null : "missing";
  if (kind !== "whole" && kind !== "number") return null;
  if (typeof value !== "number" || !Number.isFinite(value)) return "number";
  if (kind === "whole" && !Number.isInteger(value)) return "whole";
  const tooLow = field.minimum !== null && value < field.minimum;
  const tooHigh = field.maximum !== null && value > field.maximum;
  return tooLow || tooHigh ? "range" : null;
}
