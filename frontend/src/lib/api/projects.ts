import type { Added, AuditEvent, Member, Members, ProjectSummary, ProjectValues } from "./admin-types";
import { del, get, patch, post } from "./client";
import type { Page, ProjectDetail, Role } from "./types";

export const projectPath = (slug: string) => `/api/projects/${encodeURIComponent(slug)}`;

export const listProjects = async () => (await get<{ results: ProjectSummary[] }>("/api/projects")).results;

export const getProject = (slug: string) => get<ProjectDetail>(projectPath(slug));

export const createProject = (values: ProjectValues) =>
  post<ProjectDetail>("/api/projects", { slug: values.slug, ...settingsOf(values) });

/** The address of a project never changes: links to it are everywhere. */
export const updateProject = (slug: string, values: ProjectValues, base: string) =>
  patch<ProjectDetail>(projectPath(slug), { ...settingsOf(values), base });

/** The server takes the judging settings beside the others. */
function settingsOf({ slug: _fixed, judging, ...values }: ProjectValues) {
  return { ...values, ...judging };
}

/** With those who were invited and have not answered. */
export const getMembers = (slug: string) => get<Members>(`${projectPath(slug)}/members`);

export const listMembers = async (slug: string) => (await getMembers(slug)).results;

export const addMember = (slug: string, username: string, role: Role) =>
  post<Added>(`${projectPath(slug)}/members`, { username, role });

export const takeBackInvitation = (slug: string, invitation: number) => del(`${projectPath(slug)}/invitations/${invitation}`);

export const changeRole = (slug: string, member: number, role: Role, base: Role) =>
  patch<Member>(`${projectPath(slug)}/members/${member}`, { role, base });

export const removeMember = (slug: string, member: number) => del(`${projectPath(slug)}/members/${member}`);

export const listAudit = (slug: string, cursor: string | null) =>
  get<Page<AuditEvent>>(`${projectPath(slug)}/audit`, { cursor });
