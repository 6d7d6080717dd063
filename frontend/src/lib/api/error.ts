/** Every failed request ends as one of these; `message` is a sentence for the user. */
export class ApiError extends Error {
  override name = "ApiError";

  constructor(
    readonly code: string,
    message: string,
    /** Whether sending the same request again can help. */
    readonly retry: boolean,
    /** HTTP status; 0 when the server was not reached. */
    readonly status: number,
    readonly fields: Readonly<Record<string, string[]>> = {},
    /** The whole `error` object of the server, for codes that carry more (such as `ranking`). */
    readonly detail: Readonly<Record<string, unknown>> = {},
    readonly retryAfterSeconds: number | null = null,
  ) {
    super(message);
  }

  get unreachable(): boolean {
    return this.status === 0;
  }

  get signedOut(): boolean {
    return this.status === 401;
  }

  /** Somebody else is signed in by now: it waits until the person whose work it is signs in again. */
  get otherSession(): boolean {
    return this.code === "other_session";
  }
}

/** What to say to the user about anything that was thrown. */
export function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}
