import { del, get, post, rememberCsrfToken, rememberUser, whenOtherSession, whenSignedOut } from "./api/client";
import type { Session, User } from "./api/types";

/** Who is signed in. `undefined` while the server has not answered yet. */
const state = $state<{ user: User | null | undefined; ended: boolean; other: string }>({ user: undefined, ended: false, other: "" });
/** Whose work this tab holds after their session ended here. */
let former = $state.raw<User | null>(null);
/** Tabs share the session's cookie, and tell each other when it became somebody's. */
const channel = new BroadcastChannel("prefloop.session");

export const session = {
  get user() {
    return state.user;
  },
  /** True when the server ended a session that was in use. */
  get ended() {
    return state.ended;
  },
  /** The name of who was signed in by another tab, while this one still belonged to `former`. */
  get other() {
    return state.other;
  },
  get former() {
    return former;
  },
  async load() {
    accept(await get<Session>("/api/session"));
  },
  async signIn(username: string, password: string) {
    // Whoever signs in speaks for themselves, whoever was here before.
    accept(await post<Session>("/api/session", { username, password }, { as: null }));
    channel.postMessage(state.user?.id);
  },
  async signOut() {
    await del("/api/session");
    state.user = null;
    former = null;
    // The server ends the session's CSRF token as well: fetch the anonymous one.
    await session.load();
  },
};

function accept(answer: Session): void {
  rememberCsrfToken(answer.csrf_token);
  rememberUser(answer.user?.id ?? null);
  state.user = answer.user;
  if (!answer.user) return;
  former = null;
  state.ended = false;
  state.other = "";
}

/** The sign-in takes the page's place; what was entered waits on the device for `former`. */
function end(): void {
  if (state.user) {
    state.ended = true;
    former = state.user;
  }
  state.user = null;
}

whenSignedOut(() => {
  end();
  state.other = "";
});
whenOtherSession((name) => {
  end();
  state.other = name;
});

channel.addEventListener("message", ({ data }: MessageEvent<number | undefined>) => {
  // A tab that still has a page open learns of another person with its next write.
  if (state.user === null && former && data === former.id) void session.load().catch((thrown: unknown) => console.warn("The session could not be read.", thrown));
});
