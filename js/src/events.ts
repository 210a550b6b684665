import type { Snapshot } from "./snapshot.ts";
import type { User } from "./user.ts";

/** The events of a session; none contains a token. Durations are in milliseconds. */
export interface SessionEvents {
  /** `status` or `user` has changed. */
  change: Snapshot;
  /** A user is logged in: by `login`, after a reload, or in another tab (`shared`). */
  loggedIn: { user: User | null; lifetime: number | undefined; shared: boolean };
  /** There is a new access token; `shared` if another tab got it. */
  refreshed: { user: User | null; lifetime: number | undefined; shared: boolean };
  /** There is no new access token; the session is kept, and the next attempt is after `retryAfter`. */
  refreshFailed: {
    reason: string;
    retryAfter: number;
    /** The server's code for the reason, such as `cross_site_request`, if any. */
    code: string | undefined;
    /** What the server said about it, for developers. */
    message: string | undefined;
  };
  /** A 401 to a token that had not expired; the caller does not see it if the request is sent again. */
  unauthorized: { url: string };
  /** A request was sent again with a new token. */
  replayed: { url: string };
  /**
   * The server wants the user to confirm who they are (RFC 9470). The request waits for `session.confirm()`, and
   * further ones do; `cancel` ends all of them with `StepUpRequired`.
   */
  stepUp: {
    url: string;
    /** The maximum age of the last authentication in milliseconds, if that is required. */
    maxAge: number | undefined;
    /** The accepted kinds of authentication, the best first, if the server named any. */
    acrValues: readonly string[] | undefined;
    cancel: () => void;
  };
  /** The user has confirmed who they are, in this tab or another; waiting requests are sent again. */
  confirmed: undefined;
  /** The session ends in `left` ms, because it is not used or its lifetime ends; see `session.extend()`. */
  ending: { left: number };
  /** After `ending`: the session continues, by `extend` or because the user is active, in this tab or another. */
  extended: { left: number };
  /** The session has ended; once in each tab. `reason` is `logout` after a logout, `idle` if the user was idle. */
  loggedOut: { reason: string; shared: boolean };
}

export type Listener<N extends keyof SessionEvents> = (event: SessionEvents[N]) => unknown;

export type Emit = <N extends keyof SessionEvents>(name: N, event: SessionEvents[N]) => number;

export interface Events {
  on<N extends keyof SessionEvents>(name: N, listener: Listener<N>): () => void;
  emit: Emit;
}

/**
 * Make the registry of listeners; an error in one of them does not affect the others. `emit` returns how many there
 * are.
 */
export function createEvents(): Events {
  const listeners = new Set<readonly [string, (event: never) => unknown]>();
  return {
    on(name, listener) {
      const entry = [name, listener] as const;
      listeners.add(entry);
      return () => void listeners.delete(entry);
    },
    emit(name, event) {
      const those = [...listeners].filter((entry) => entry[0] === name);
      for (const entry of those) queueMicrotask(() => listeners.has(entry) && entry[1](event as never));
      return those.length;
    },
  };
}
