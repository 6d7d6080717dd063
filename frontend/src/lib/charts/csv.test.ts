import { expect, test } from "vitest";
import { csv } from "./csv";

test("cells are quoted where they have to be, and nothing begins like a formula", () => {
  expect(csv([["model", "rating"], ["a,b", 1.5], ['say "x"', null], ["=1+1", -2]])).toBe(
    'model,rating\r\n"a,b",1.5\r\n"say ""x""",\r\n\'=1+1,-2\r\n',
  );
});
