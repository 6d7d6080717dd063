import { t } from "../catalogue.svelte";
import { ApiError } from "./error";

type Query = Record<string, string | number | boolean | null | undefined>;

export interface RequestOptions {
  query?: Query;
  /** Sent as JSON, or as it is when it is FormData. */
  body?: unknown;
  signal?: AbortSignal;
  timeoutMs?: number;
  /** The body as it is, for what is not JSON: a card, a log. */
  text?: boolean;
  /** Whose work it is, where that is not the one who is signed in at this moment as far as the tab knows. */
  as?: number | null;
  /** Lets the request outlive the page (for giving claims back on leaving). */
  keepalive?: boolean;
}

const DEFAULT_TIMEOUT_MS = 20_000;

let csrfToken = "";
let user: number | null = null;
let onSignedOut: () => void = () => undefined;
let onOtherSession: (name: string) => void = () => undefined;

/** Everything that this tab writes from now on is this person's, and the server refuses it in another's session. */
export function rememberUser(id: number | null): void {
  user = id;
}

export function rememberCsrfToken(token: string): void {
  csrfToken = token;
}

export function whenSignedOut(listener: () => void): void {
  onSignedOut = listener;
}

/** Another tab has signed somebody else in. */
export function whenOtherSession(listener: (name: string) => void): void {
  onOtherSession = listener;
}

export const get = <T>(path: string, query?: Query, options: RequestOptions = {}) =>
  request<T>("GET", path, { ...options, query });
/** A body that is not JSON. */
export const getText = (path: string, query?: Query) => request<string>("GET", path, { query, text: true });
export const post = <T>(path: string, body?: unknown, options: RequestOptions = {}) =>
  request<T>("POST", path, { ...options, body });
export const put = <T>(path: string, body?: unknown, options: RequestOptions = {}) =>
  request<T>("PUT", path, { ...options, body });
export const patch = <T>(path: string, body?: unknown, options: RequestOptions = {}) =>
  request<T>("PATCH", path, { ...options, body });
export const del = <T = void>(path: string, options: RequestOptions = {}) =>
  request<T>("DELETE", path, options);

/** Path of a request with its query; empty values are left out. */
export function address(path: string, query: Query = {}): string {
  const pairs = Object.entries(query).filter(([, v]) => v !== null && v !== undefined && v !== "");
  if (!pairs.length) return path;
  return `${path}?${new URLSearchParams(pairs.map(([k, v]) => [k, String(v)]))}`;
}

/** Resolves with the parsed body (undefined for 204), rejects with ApiError only. */
export async function request<T>(
  method: string,
  path: string,
  { query, body, signal, timeoutMs = DEFAULT_TIMEOUT_MS, keepalive, as = user, text: plain = false }: RequestOptions = {},
): Promise<T> {
  const limit = AbortSignal.timeout(timeoutMs);
  const init: RequestInit = {
    method,
    headers: headers(method, body, as),
    credentials: "same-origin",
    signal: signal ? AbortSignal.any([signal, limit]) : limit,
    ...(keepalive ? { keepalive } : {}),
    ...(body === undefined ? {} : { body: body instanceof FormData ? body : JSON.stringify(body) }),
  };
  let response: Response;
  let text: string;
  try {
    response = await fetch(address(path, query), init);
    text = await response.text();
  } catch (cause) {
    throw unreached(cause, signal, limit);
  }
  if (!response.ok) throw refusal(response, text);
  return plain ? (text as T) : parsed<T>(response, text);
}

function headers(method: string, body: unknown, as: number | null): Record<string, string> {
  const result: Record<string, string> = { Accept: "application/json" };
  if (method !== "GET") {
    result["X-CSRFToken"] = csrfCookie() ?? csrfToken;
    if (as !== null) result["X-Prefloop-User"] = String(as);
  }
  if (body !== undefined && !(body instanceof FormData)) result["Content-Type"] = "application/json";
  return result;
}

/** Another tab may have signed in since: the cookie is newer than what this tab remembers. */
function csrfCookie(): string | null {
  return document.cookie.match(/(?:^|;\s*)csrftoken=([^;]+)/)?.[1] ?? null;
}

function unreached(cause: unknown, signal: AbortSignal | undefined, limit: AbortSignal): ApiError {
  if (signal?.aborted) return new ApiError("aborted", t("api.aborted"), false, 0);
  if (limit.aborted) return new ApiError("timeout", t("api.timeout"), true, 0);
  return new ApiError("network", t("api.network"), true, 0, {}, { cause: String(cause) });
}

function refusal(response: Response, text: string): ApiError {
  if (response.status === 401) onSignedOut();
  const retryAfter = Number(response.headers.get("Retry-After")) || null;
  const envelope = errorEnvelope(text);
  if (envelope.code === "other_session") onOtherSession(String(envelope.signed_in));
  const serverSide = response.status >= 500 || response.status === 429;
  return new ApiError(
    typeof envelope.code === "string" ? envelope.code : `http_${response.status}`,
    typeof envelope.message === "string"
      ? envelope.message
      : t(serverSide ? "api.serverFailed" : "api.refused", { status: response.status }),
    typeof envelope.retry === "boolean" ? envelope.retry : serverSide,
    response.status,
    (envelope.fields ?? {}) as Record<string, string[]>,
    envelope,
    retryAfter,
  );
}

/** A proxy may answer with HTML: then there is no envelope, and the status alone speaks. */
function errorEnvelope(text: string): Record<string, unknown> {
  try {
    const body: unknown = JSON.parse(text);
    if (body && typeof body === "object" && "error" in body && body.error && typeof body.error === "object")
      return body.error as Record<string, unknown>;
  } catch {
    return {};
  }
  return {};
}

function parsed<T>(response: Response, text: string): T {
  if (!text) return undefined as T;
  try {
    return JSON.parse(text) as T;
  } catch {
    throw new ApiError("not_json", t("api.notJson"), true, response.status);
  }
}
