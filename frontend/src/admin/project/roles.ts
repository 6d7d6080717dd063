import type { Role } from "$lib/api/types";

export const ROLES: readonly Role[] = ["owner", "admin", "reviewer", "labeler", "viewer"];

/** Whom the server lets do what; the pages only leave out what it would refuse. */
export const mayManage = (role: Role) => role === "owner" || role === "admin";
export const mayReview = (role: Role) => mayManage(role) || role === "reviewer";
export const mayReadData = (role: Role) => mayReview(role) || role === "viewer";
export const mayLabel = (role: Role) => role !== "viewer";

const RIGHTS = [(role: Role) => role === "owner", mayManage, mayReview, mayReadData, mayLabel];

/** Whether somebody gets a right by it that they do not have; a labeler who becomes a viewer does: to read and export. */
export const rightsGrow = (from: Role, to: Role): boolean => RIGHTS.some((may) => may(to) && !may(from));
