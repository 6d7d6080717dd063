import { expect, test } from "vitest";
import { memory, savingsOf } from "./memory";

test.each([
  [830, "830 MB"],
  [4506, "4.4 GB"],
  [40_000, "39 GB"],
])("%d MB", (mb, text) => expect(memory(mb)).toBe(text));

test("what is at its smallest is not advised", () => {
  const large = { training: { tokens_per_pack: 4096 }, base: { gradient_checkpointing: false, precision: "bf16" } };
  expect(savingsOf(large).map(({ path, value }) => `${path}=${String(value)}`)).toEqual([
    "training.tokens_per_pack=2048",
    "base.gradient_checkpointing=true",
    "base.precision=nf4",
  ]);
  const small = { training: { tokens_per_pack: 512 }, base: { gradient_checkpointing: true, precision: "nf4" } };
  expect(savingsOf(small)).toEqual([]);
});
