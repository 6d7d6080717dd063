import type { ApiToken, NewToken } from "./admin-types";
import { del, get, post } from "./client";

export const listTokens = async () => (await get<{ results: ApiToken[] }>("/api/tokens")).results;

/** The token itself is in this answer and nowhere else, ever. */
export const createToken = () => post<NewToken>("/api/tokens");

export const revokeToken = (id: string) => del(`/api/tokens/${encodeURIComponent(id)}`);
