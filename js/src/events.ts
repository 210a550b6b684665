import type { User } from "./user.ts";

/** What a session tells of itself; never a token. Spans are in milliseconds. */
export interface SessionEvents {
  /** Somebody is logged in: by `login`, by coming back after a reload, or in another tab. */
  loggedIn: { user: User | null; lifetime: number | undefined; shared: boolean };
  /** There is a new access token; `shared` when another tab has got it. */
  refreshed: { user: User | null; lifetime: number | undefined; shared: boolean };
  /** No new access token could be had; the session is kept, and it is tried again after `retryAfter`. */
  refreshFailed: { reason: string; retryAfter: number };
  /** A 401 to a token that was thought good: nobody sees it where the request is sent again. */
  unauthorized: { url: string };
  /** A request was sent again with a new token. */
  replayed: { url: string };
  /** The session is over, told once in each tab; `logout` where somebody wanted it so, else why. */
  loggedOut: { reason: string; shared: boolean };
}

export type Listener<N extends keyof SessionEvents> = (event: SessionEvents[N]) => unknown;

export interface Events {
  on<N extends keyof SessionEvents>(name: N, listener: Listener<N>): () => void;
  emit<N extends keyof SessionEvents>(name: N, event: SessionEvents[N]): void;
}

/** Make the place where listeners meet events; each is called on its own, so what it throws changes nothing here. */
export function createEvents(): Events {
  const listeners = new Set<readonly [string, (event: never) => unknown]>();
  return {
    on(name, listener) {
      const entry = [name, listener] as const;
      listeners.add(entry);
      return () => void listeners.delete(entry);
    },
    emit(name, event) {
      for (const [wanted, listener] of listeners) if (wanted === name) queueMicrotask(() => listener(event as never));
    },
  };
}
