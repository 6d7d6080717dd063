import { expect, it } from "vitest";
import { swallowed, type Shown } from "./swallowed";

const text = (value: string): Shown => ({ nodeName: "#text", nodeValue: value, childNodes: [] });
const node = (nodeName: string, ...childNodes: Shown[]): Shown => ({ nodeName, nodeValue: null, childNodes });

it("finds nothing where all is shown or hidden", () => {
  expect(swallowed(node("DIV", node("P", text("a "), node("EM", text("*"), text("b"))), text("*")), "a *b*\n")).toEqual([]);
});
it("names what is missing, wherever it is", () => {
  expect(swallowed(node("P", text("one three")), "one two three")).toEqual(["two"]);
  expect(swallowed(node("P", text("one")), "one two\nthree")).toEqual(["two\nthree"]);
  expect(swallowed(node("P", text("2 3 4 and the rest of it")), "2*3*4 and the rest of it")).toEqual(["*", "*"]);
});
it("takes the TeX for the text, not the formula", () => {
  expect(swallowed(node("P", text("$x$"), node("math", text("x"))), "$x$")).toEqual([]);
});
it("says so when something else is shown", () => {
  expect(swallowed(node("P", text("other")), "text")).toEqual(["text"]);
});
