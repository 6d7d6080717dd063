import { expect, it } from "vitest";
import { rightsGrow, ROLES } from "./roles";

it("tells which changes of a role give somebody a right they did not have", () => {
  const growing = ROLES.flatMap((from) => ROLES.filter((to) => rightsGrow(from, to)).map((to) => `${from} ${to}`));
  expect(growing.sort()).toEqual([
    "admin owner",
    "labeler admin",
    "labeler owner",
    "labeler reviewer",
    "labeler viewer", // reads and exports what others said
    "reviewer admin",
    "reviewer owner",
    "viewer admin",
    "viewer labeler", // writes
    "viewer owner",
    "viewer reviewer",
  ]);
});
