/**
 * Claims held by the tabs of this browser. A second tab asks for other tasks instead of being
 * handed the one that is open already. Locks end with their tab, so nothing has to be cleaned up.
 * Without Web Locks (plain HTTP) tabs do not know of each other, and the server sorts it out.
 */
const PREFIX = "prefloop.claim.";
const releases = new Map<number, () => void>();

export function holdInThisTab(claim: number): void {
  if (!navigator.locks || releases.has(claim)) return;
  const held = new Promise<void>((resolve) => releases.set(claim, resolve));
  void navigator.locks.request(`${PREFIX}${claim}`, () => held);
}

export function letGo(claim: number): void {
  releases.get(claim)?.();
  releases.delete(claim);
}

export async function heldInAnyTab(): Promise<number[]> {
  if (!navigator.locks) return [];
  const { held = [] } = await navigator.locks.query();
  return held.flatMap(({ name }) => (name?.startsWith(PREFIX) ? [Number(name.slice(PREFIX.length))] : []));
}
