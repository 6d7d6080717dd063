import type { ImportFormat, ImportReport, PromptDetail, PromptRow } from "./admin-types";
import { get, post } from "./client";
import { projectPath } from "./projects";
import type { Page } from "./types";

/** A large file takes its time; the server reads it row by row. */
const IMPORT_TIMEOUT_MS = 15 * 60_000;

export interface PromptQuery {
  search?: string | null;
  tag?: string | null;
  split?: string | null;
}

export const listPrompts = (slug: string, query: PromptQuery, cursor: string | null) =>
  get<Page<PromptRow>>(`${projectPath(slug)}/prompts`, { ...query, cursor });

export const getPrompt = (slug: string, id: string) =>
  get<PromptDetail>(`${projectPath(slug)}/prompts/${encodeURIComponent(id)}`);

export function importFile(slug: string, file: File, format: ImportFormat, refuse: boolean): Promise<ImportReport> {
  const body = new FormData();
  body.append("format", format);
  body.append("refuse_control_tokens", String(refuse));
  body.append("file", file);
  return post<ImportReport>(`${projectPath(slug)}/prompts/import`, body, { timeoutMs: IMPORT_TIMEOUT_MS });
}

export const importText = (slug: string, text: string, format: ImportFormat, refuse: boolean) =>
  post<ImportReport>(
    `${projectPath(slug)}/prompts/import`,
    { text, format, refuse_control_tokens: refuse },
    { timeoutMs: IMPORT_TIMEOUT_MS },
  );
