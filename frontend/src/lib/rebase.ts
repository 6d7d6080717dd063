export interface Rebased<T> {
  values: T;
  /** Paths of what both changed, each in another way: there `values` has mine. */
  both: string[];
}

/**
 * My changes of `base` made on `theirs`, which somebody else made of it in the meantime. Objects are
 * compared member by member, everything else as a whole.
 */
export function rebased<T>(base: T, mine: T, theirs: T, path = ""): Rebased<T> {
  if (same(mine, base) || same(mine, theirs)) return { values: theirs, both: [] };
  if (same(theirs, base)) return { values: mine, both: [] };
  if (!isObject(base) || !isObject(mine) || !isObject(theirs)) return { values: mine, both: [path] };
  const both: string[] = [];
  const values: Record<string, unknown> = {};
  for (const name of new Set([...Object.keys(theirs), ...Object.keys(mine)])) {
    const found = rebased(base[name], mine[name], theirs[name], path ? `${path}.${name}` : name);
    both.push(...found.both);
    if (found.values !== undefined) values[name] = found.values;
  }
  return { values: values as T, both };
}

const same = (one: unknown, other: unknown) => JSON.stringify(one) === JSON.stringify(other);

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === "object" && value !== null && !Array.isArray(value);
