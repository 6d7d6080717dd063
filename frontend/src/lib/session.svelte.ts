import { del, get, post, rememberCsrfToken, whenSignedOut } from "./api/client";
import type { Session, User } from "./api/types";

/** Who is signed in. `undefined` while the server has not answered yet. */
const state = $state<{ user: User | null | undefined; ended: boolean }>({ user: undefined, ended: false });

export const session = {
  get user() {
    return state.user;
  },
  /** True when the server ended a session that was in use. */
  get ended() {
    return state.ended;
  },
  async load() {
    accept(await get<Session>("/api/session"));
  },
  async signIn(username: string, password: string) {
    accept(await post<Session>("/api/session", { username, password }));
    state.ended = false;
  },
  async signOut() {
    await del("/api/session");
    state.user = null;
    // The server ends the session's CSRF token as well: fetch the anonymous one.
    await session.load();
  },
};

function accept(answer: Session): void {
  rememberCsrfToken(answer.csrf_token);
  state.user = answer.user;
}

whenSignedOut(() => {
  if (state.user) state.ended = true;
  state.user = null;
});
