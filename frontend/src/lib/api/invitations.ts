import { del, get, post } from "./client";
import { projectPath } from "./projects";
import type { Invitation } from "./types";

/** What a person is asked to take part in, and how they leave what they take part in. */
export const listInvitations = async () => (await get<{ results: Invitation[] }>("/api/invitations")).results;
export const acceptInvitation = (id: number) => post<{ slug: string }>(`/api/invitations/${id}/accept`);
export const declineInvitation = (id: number) => post<void>(`/api/invitations/${id}/decline`);
export const leaveProject = (slug: string) => del(`${projectPath(slug)}/membership`);
