import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { ApiError } from "$lib/api/error";
import { copiesAside, forgetOldCopies, forgetSentCopies, putAside, readCopy, writeCopy, type DeviceCopy } from "./device-copies";
import { DraftKeeper, sendAside, startOf } from "./drafts.svelte";
import type { DraftBody } from "./judgment";

interface Sent {
  body: DraftBody;
  base: number;
  writer: string;
  step: number;
}
const sent: { text: Sent; answer: (version: number, kept?: number | null) => Promise<void>; fail: (error: ApiError) => Promise<void> }[] = [];

vi.mock("$lib/api/labeling", () => ({
  saveDraft: (_claim: number, text: Sent) =>
    new Promise((resolve, reject) => {
      const settle = async (act: () => void) => {
        act();
        await vi.advanceTimersByTimeAsync(0);
      };
      sent.push({
        text,
        answer: (version, kept = null) => settle(() => resolve({ saved_at: "", version, kept })),
        fail: (error) => settle(() => reject(error)),
      });
    }),
}));

const LENA = 2;
const CLAIM = 36;
const words = (rationale: string) => ({ rationale, tiers: [["A"]] }) as unknown as DraftBody;
const onServer = (rationale: string, version: number, writer = "desktop", step = 1) => ({
  id: CLAIM,
  draft: words(rationale) as unknown as Record<string, unknown>,
  draft_at: { version, writer, step },
});
const nothing = { id: CLAIM, draft: null, draft_at: null };
const onDevice = (rationale: string, base: number, isSent = false) =>
  writeCopy(LENA, CLAIM, { base, writer: "laptop", step: 3, sent: isSent, draft: words(rationale) });

beforeEach(() => {
  const kept = new Map<string, string>();
  const storage = {
    getItem: (name: string) => kept.get(name) ?? null,
    setItem: (name: string, value: string) => kept.set(name, value),
    removeItem: (name: string) => kept.delete(name),
  };
  vi.stubGlobal("localStorage", new Proxy(storage, { ownKeys: () => [...kept.keys()], getOwnPropertyDescriptor: () => ({ enumerable: true, configurable: true }) }));
  vi.useFakeTimers();
  sent.length = 0;
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

describe("the text that a page begins with", () => {
  it("is the server's when the device has nothing new, whatever the device's clock says", () => {
    vi.setSystemTime(new Date("2031-01-01"));
    onDevice("first thoughts", 0, true);
    vi.setSystemTime(new Date("2026-01-01"));
    expect(startOf(LENA, onServer("a longer text", 8)).draft).toEqual(words("a longer text"));
    expect(copiesAside(LENA, CLAIM)).toEqual([]);
  });
  it("is the device's when it goes on from what the server has", () => {
    onDevice("offline", 8);
    const start = startOf(LENA, onServer("before", 8));
    expect(start).toEqual({ draft: words("offline"), origin: { base: 8, writer: "laptop", step: 3 }, unsent: true });
  });
  it("is the device's when the server has nothing", () => {
    onDevice("offline", 0);
    expect(startOf(LENA, nothing)).toMatchObject({ draft: words("offline"), unsent: true });
  });
  it("is the server's when it is newer; the device's waits until the server keeps it too", async () => {
    onDevice("offline", 5);
    expect(startOf(LENA, onServer("from the desktop", 8)).draft).toEqual(words("from the desktop"));
    onDevice("typed since", 8);
    const sending = sendAside(LENA, CLAIM);
    expect(sent[0]?.text).toEqual({ body: words("offline"), base: 5, writer: "laptop", step: 3 });
    await sent[0]?.answer(8, 1);
    expect(await sending).toBe(true);
    expect(copiesAside(LENA, CLAIM)).toEqual([]);
    expect(readCopy(LENA, CLAIM)?.draft).toEqual(words("typed since"));
  });
  it("knows its own text again when only the answer was lost", () => {
    onDevice("typed last", 5);
    expect(startOf(LENA, onServer("typed last", 8, "laptop", 3)).unsent).toBe(false);
    expect(startOf(LENA, onServer("typed before", 8, "laptop", 2))).toMatchObject({ draft: words("typed last"), unsent: true });
  });
  it("takes a copy of an earlier version of the page for one of unknown origin", () => {
    localStorage.setItem(`prefloop.draft.${LENA}.${CLAIM}`, JSON.stringify({ rationale: "old form", tiers: [], saved_ms: 9e15 }));
    expect(startOf(LENA, onServer("newer", 8)).draft).toEqual(words("newer"));
    expect(copiesAside(LENA, CLAIM)).toMatchObject([{ base: 0, draft: { rationale: "old form" } }]);
  });
});

describe("the keeper of a draft", () => {
  const keeper = (lost = () => undefined as void) => new DraftKeeper(LENA, CLAIM, { base: 4, writer: "page", step: 0 }, lost);
  const type = async (one: DraftKeeper, rationale: string) => {
    one.save(words(rationale));
    await vi.advanceTimersByTimeAsync(800);
  };

  it("numbers what it sends, so that overtaken requests do no harm", async () => {
    const one = keeper();
    await type(one, "older");
    await type(one, "newer");
    expect(sent.map(({ text }) => [text.body.rationale, text.base, text.writer, text.step])).toEqual([
      ["older", 4, "page", 1],
      ["newer", 4, "page", 2],
    ]);
    await sent[1]?.answer(6);
    expect(one.state).toBe("saved");
    await sent[0]?.answer(6);
    expect(one.origin).toEqual({ base: 6, writer: "page", step: 2 });
    expect(readCopy(LENA, CLAIM)).toMatchObject({ draft: words("newer"), sent: true });
  });
  it("is saved only when the latest change has arrived", async () => {
    const one = keeper();
    await type(one, "older");
    one.save(words("newer"));
    await sent[0]?.answer(5);
    expect(one.state).toBe("device");
    expect(readCopy(LENA, CLAIM)).toMatchObject({ draft: words("newer"), sent: false });
  });
  it("says when its text lies beside a newer one, and stays with the version that it was made from", async () => {
    const one = keeper();
    await type(one, "from the laptop");
    await sent[0]?.answer(9, 77);
    expect([one.state, one.kept]).toEqual(["beside", 77]);
    await type(one, "more");
    expect(sent[1]?.text).toMatchObject({ base: 4, step: 2 });
  });
  it("is not lost because somebody else is signed in", async () => {
    const lost = vi.fn();
    const one = keeper(lost);
    await type(one, "Lena's");
    await sent[0]?.fail(new ApiError("other_session", "Luis is signed in", false, 409));
    expect(lost).not.toHaveBeenCalled();
    await vi.advanceTimersByTimeAsync(10_000);
    expect(sent[1]?.text).toMatchObject({ body: words("Lena's"), step: 1 });
  });
});

describe("old copies", () => {
  it("are forgotten when the server has them, and never before", () => {
    onDevice("sent", 1, true);
    writeCopy(LENA, 40, { base: 1, writer: "laptop", step: 1, sent: false, draft: words("never sent") });
    forgetOldCopies(Date.now() + 400 * 86_400_000);
    expect(readCopy(LENA, CLAIM)).toBeNull();
    expect(readCopy(LENA, 40)?.draft).toEqual(words("never sent"));
  });
});

it("leaves nothing on the device after signing out that the server has", () => {
  onDevice("the server has it", 5, true);
  const other = { base: 1, writer: "laptop", step: 1, draft: words("not sent yet"), sent: false };
  writeCopy(LENA, CLAIM + 1, other);
  putAside(LENA, CLAIM + 2, { ...other, writer: "older" } satisfies DeviceCopy);
  writeCopy(LENA * 10, CLAIM, { ...other, sent: true });
  forgetSentCopies(LENA);
  expect(readCopy(LENA, CLAIM)).toBeNull();
  expect(readCopy(LENA, CLAIM + 1)).toMatchObject(other);
  expect(copiesAside(LENA, CLAIM + 2)).toHaveLength(1);
  expect(readCopy(LENA * 10, CLAIM)).not.toBeNull();
});
