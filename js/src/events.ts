import type { Snapshot } from "./snapshot.ts";
import type { User } from "./user.ts";

/** The events of a session; none holds a token. Spans are in milliseconds. */
export interface SessionEvents {
  /** `status` or `user` has changed. */
  change: Snapshot;
  /** Somebody is logged in: by `login`, by coming back after a reload, or in another tab (`shared`). */
  loggedIn: { user: User | null; lifetime: number | undefined; shared: boolean };
  /** There is a new access token; `shared` if another tab got it. */
  refreshed: { user: User | null; lifetime: number | undefined; shared: boolean };
  /** There is no new access token; the session is kept, and the next attempt is after `retryAfter`. */
  refreshFailed: {
    reason: string;
    retryAfter: number;
    /** What the server called the reason, such as `cross_site_request`, if it did. */
    code: string | undefined;
    /** What the server said about it, for developers. */
    message: string | undefined;
  };
  /** A 401 to a token that had not expired; the caller does not see it if the request is sent again. */
  unauthorized: { url: string };
  /** A request was sent again with a new token. */
  replayed: { url: string };
  /**
   * The server wants the user to confirm who they are (RFC 9470). The request waits for `session.confirm()`, and so do
   * further ones; `cancel` ends all with `StepUpRequired`.
   */
  stepUp: {
    url: string;
    /** Milliseconds that the last authentication may be old, if that is what is wanted. */
    maxAge: number | undefined;
    /** The kinds of authentication of which one is wanted, by preference, if the server named any. */
    acrValues: readonly string[] | undefined;
    cancel: () => void;
  };
  /** The user has confirmed who they are, in this tab or another; what waited is sent again. */
  confirmed: undefined;
  /** The session will end in so many milliseconds, because nobody is there or its time is over; see `session.extend()`. */
  ending: { left: number };
  /** After `ending`: the session goes on, because of `extend` or because the user is there, in this tab or another. */
  extended: { left: number };
  /** The session is over; once in each tab. `reason` is `logout` if somebody logged out, `idle` if nobody was there. */
  loggedOut: { reason: string; shared: boolean };
}

export type Listener<N extends keyof SessionEvents> = (event: SessionEvents[N]) => unknown;

export type Emit = <N extends keyof SessionEvents>(name: N, event: SessionEvents[N]) => number;

export interface Events {
  on<N extends keyof SessionEvents>(name: N, listener: Listener<N>): () => void;
  emit: Emit;
}

/**
 * Make the place where listeners meet events; each is called on its own, so what it throws changes nothing here. `emit`
 * returns how many there are.
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
