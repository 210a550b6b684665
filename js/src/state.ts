/**
 * The access token of this tab, and the rule by which all tabs reach the same state.
 *
 * Each change has the moment at which it *started*: a refresh when it was sent, a login or a logout when it took
 * effect. The later one wins, in whatever order they arrive. So a refresh that started before a logout cannot undo it,
 * in any tab; one that was rejected cannot undo a login that came after.
 */
import type { Grant } from "./endpoints.ts";
import { loginRequired } from "./errors.ts";
import type { Emit } from "./events.ts";
import { type LoginSignal, createLoginSignal } from "./login_signal.ts";
import { type Snapshot, UNKNOWN, show } from "./snapshot.ts";
import { type Token, createToken, isSameUser } from "./token.ts";

export interface Change {
  /** When it started, by `State.tick`; now, if missing. */
  at?: number;
  /** The grant; missing if the session has ended. */
  grant?: Grant | false | undefined;
  /** The grant's age in milliseconds, if it comes from another tab. */
  age?: number | undefined;
  /** Why the session has ended. */
  reason?: string;
  /** Whether the server does not know yet that the user is active. */
  passive?: boolean | undefined;
}

export interface State {
  /** When the last change started; 0 before the first. */
  at: number;
  token: Token | undefined;
  /** The grant of the token. */
  grant?: Grant | false | undefined;
  /** Why there is no session. */
  reason: string;
  snapshot: Snapshot;
  /** Of this login; there is a new one when it ends or another user logs in. */
  login: LoginSignal;
  /** Return a moment later than every change known so far, in every tab. */
  tick(): number;
  /** Apply a change, unless a later one is known, and post it to the other tabs unless one of them has `shared` it. */
  settle(change: Change, shared?: boolean): void;
}

/** @param changed called after each applied change, with what other tabs have to know. */
export function createState(ahead: number, emit: Emit, changed: (change: Change | false) => void): State {
  let latest = 0;
  const state: State = {
    at: 0,
    token: undefined,
    reason: "",
    snapshot: UNKNOWN,
    login: createLoginSignal(),
    // the fraction distinguishes two tabs that act in the same millisecond
    tick: () => (latest = Math.max(Date.now(), latest + 1) + Math.random()),
    settle(change, shared = false) {
      const { at = state.tick(), grant, age = 0, reason = "", passive } = change;
      latest = Math.max(latest, at);
      if (at <= state.at) return;
      const { token: before, snapshot, login } = state;
      const token = grant ? createToken(grant, age, ahead) : undefined;
      const shown = show(snapshot, token);
      // a tab that has just been opened was opened by its user
      if (token) token.active = !!passive && (!before || !!before.active);
      Object.assign(state, { at, grant, token, reason, snapshot: shown });
      const same = before && isSameUser(before, token);
      if (before && !same) {
        state.login = createLoginSignal();
        login.end(loginRequired(reason || "another user has logged in"));
      }
      if (shown !== snapshot) emit("change", shown);
      if (token) {
        emit(same ? "refreshed" : "loggedIn", { user: shown.user, lifetime: token.lifetime, shared });
      } else if (before) emit("loggedOut", { reason, shared });
      changed(!shared && { ...change, at });
    },
  };
  return state;
}
