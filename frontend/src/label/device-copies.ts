import type { DraftBody } from "./judgment";
import { uuid } from "$lib/uuid";

/** What a text was made from: the server's version that was on the page (0 for none), who writes, and their count of changes. */
export interface Origin {
  base: number;
  writer: string;
  step: number;
}

/** A draft as this device keeps it. `sent`: the server has it, so this copy decides nothing any more. */
export interface DeviceCopy extends Origin {
  draft: DraftBody;
  sent: boolean;
}

/**
 * The copies of drafts on this device, which survive a lost network. There is one for each claim; a
 * copy that turned out to be older than the server's text waits under its writer until it is sent.
 */
const KEEP_DAYS = 14;
const PREFIX = "prefloop.draft.";

const nameOf = (user: number, claim: number): string => `${PREFIX}${user}.${claim}`;
const leftName = (user: number, claim: number, writer: string): string => `${nameOf(user, claim)}.${writer}`;

export function readCopy(user: number, claim: number): DeviceCopy | null {
  return copyIn(localStorage.getItem(nameOf(user, claim)));
}

export function writeCopy(user: number, claim: number, copy: DeviceCopy): void {
  write(nameOf(user, claim), copy);
}

export function removeCopy(user: number, claim: number): void {
  localStorage.removeItem(nameOf(user, claim));
}

/** Puts the claim's copy aside: it is not what is on the page, but the server does not have it yet. */
export function putAside(user: number, claim: number, copy: DeviceCopy): void {
  write(leftName(user, claim, copy.writer), copy);
  removeCopy(user, claim);
}

export function copiesAside(user: number, claim: number): DeviceCopy[] {
  return Object.keys(localStorage)
    .filter((name) => name.startsWith(`${nameOf(user, claim)}.`))
    .flatMap((name) => copyIn(localStorage.getItem(name)) ?? []);
}

export function removeAside(user: number, claim: number, writer: string): void {
  localStorage.removeItem(leftName(user, claim, writer));
}

/** Whoever uses this device next finds nothing in clear that the server has. What it does not have waits for its writer. */
export function forgetSentCopies(user: number): void {
  for (const name of Object.keys(localStorage)) {
    if (name.startsWith(`${PREFIX}${user}.`) && copyIn(localStorage.getItem(name))?.sent) localStorage.removeItem(name);
  }
}

/** Copies that the server has, of claims that are long gone. What it does not have is never forgotten. */
export function forgetOldCopies(now = Date.now()): void {
  for (const name of Object.keys(localStorage)) {
    if (!name.startsWith(PREFIX)) continue;
    const stored = parsed(localStorage.getItem(name)) as { sent?: unknown; at?: unknown } | null;
    if (stored?.sent === true && typeof stored.at === "number" && now - stored.at > KEEP_DAYS * 86_400_000) localStorage.removeItem(name);
  }
}

function write(name: string, copy: DeviceCopy): void {
  try {
    localStorage.setItem(name, JSON.stringify({ ...copy, at: Date.now() }));
  } catch (thrown) {
    // A full storage: the server's copy still follows, and the indicator shows whether it arrived.
    console.warn("The draft could not be stored on this device.", thrown);
  }
}

/** A copy of an earlier version of this page is a bare draft: nobody knows what it was made from. */
function copyIn(text: string | null): DeviceCopy | null {
  const stored = parsed(text);
  if (typeof stored !== "object" || stored === null) return null;
  if ("draft" in stored && "writer" in stored) return stored as DeviceCopy;
  return { base: 0, writer: uuid(), step: 1, sent: false, draft: stored as DraftBody };
}

function parsed(text: string | null): unknown {
  if (text === null) return null;
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
