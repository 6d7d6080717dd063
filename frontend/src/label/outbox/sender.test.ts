import { beforeEach, describe, expect, it } from "vitest";
import { ApiError } from "$lib/api/error";
import type { Submit } from "$lib/api/types";
import type { Item, NewItem } from "./item";
import { drain, waitAfter, type Surroundings } from "./sender";
import { memoryStore, type Store } from "./store";

const LENA = 2;
const body = { key: "k" } as Submit;
const item = (claim: number, user = LENA): NewItem => ({
  user,
  project: "example",
  claim,
  errand: { kind: "ranking", body },
  excerpt: "",
  created_at: "",
});
const offline = new ApiError("network", "", true, 0);
const status = (code: number, name = "x", detail = {}) => new ApiError(name, "why", code >= 500, code, {}, detail);

let store: Store;
let tried: number[];
let sent: number[];
let refused: Item[];
let answers: Record<number, (ApiError | null)[]>;

const around = (): Surroundings => ({
  store,
  send: (one) => {
    tried.push(one.claim);
    const answer = answers[one.claim]?.shift();
    return answer ? Promise.reject(answer) : Promise.resolve(null);
  },
  exclusively: (work) => work(),
  onSent: (one) => sent.push(one.claim),
  onRefused: (one) => refused.push(one),
  onChange: () => undefined,
});

beforeEach(() => {
  store = memoryStore();
  [tried, sent, refused, answers] = [[], [], [], {}];
});

describe("the outbox", () => {
  it("sends each item once, in order", async () => {
    for (const claim of [11, 12, 13]) await store.add(item(claim));
    expect(await drain(LENA, around())).toEqual({ done: true });
    expect(sent).toEqual([11, 12, 13]);
    expect(await store.all(LENA)).toEqual([]);
  });
  it("stops at the first item while offline, and goes on from there", async () => {
    for (const claim of [11, 12]) await store.add(item(claim));
    answers[11] = [offline];
    expect(await drain(LENA, around())).toMatchObject({ done: false, why: offline });
    expect(tried).toEqual([11]);
    expect((await store.all(LENA)).map((one) => one.attempts)).toEqual([1, 0]);
    await drain(LENA, around());
    expect(sent).toEqual([11, 12]);
  });
  it("keeps a refused item for a person and goes on with the others", async () => {
    for (const claim of [11, 12]) await store.add(item(claim));
    answers[11] = [status(409, "already_ranked", { ranking: 5 })];
    expect(await drain(LENA, around())).toEqual({ done: true });
    expect(sent).toEqual([12]);
    expect(refused[0]?.refusal).toEqual({ code: "already_ranked", message: "why", ranking: 5 });
    await drain(LENA, around());
    expect(tried).toEqual([11, 12]);
  });
  it("waits while somebody else is signed in, and is not refused for good", async () => {
    await store.add(item(11));
    answers[11] = Array.from({ length: 9 }, () => status(409, "other_session", { signed_in: "Luis" }));
    for (let i = 0; i < 9; i++) expect((await drain(LENA, around())).done).toBe(false);
    expect(refused).toEqual([]);
    await drain(LENA, around());
    expect(sent).toEqual([11]);
  });
  it("waits for a sign-in, a restart and a rate limit", async () => {
    await store.add(item(11));
    answers[11] = [status(401), status(503), status(429)];
    for (let i = 0; i < 3; i++) expect((await drain(LENA, around())).done).toBe(false);
    expect((await drain(LENA, around())).done).toBe(true);
    expect(sent).toEqual([11]);
  });
  it("asks a person when the server fails on the same item again and again", async () => {
    await store.add(item(11));
    await store.add(item(12));
    answers[11] = Array.from({ length: 8 }, () => status(500));
    for (let i = 0; i < 8; i++) await drain(LENA, around());
    expect(refused.map((one) => one.claim)).toEqual([11]);
    expect(sent).toEqual([12]);
  });
  it("never sends another person's work", async () => {
    await store.add(item(11, 3));
    await drain(LENA, around());
    expect(tried).toEqual([]);
  });
  it("waits longer each time, up to half a minute, or as told", () => {
    expect([1, 2, 3, 9].map((n) => waitAfter(n, offline, 0.5))).toEqual([1000, 2000, 4000, 30_000]);
    expect(waitAfter(1, new ApiError("throttled", "", true, 429, {}, {}, 7))).toBe(7000);
  });
});
