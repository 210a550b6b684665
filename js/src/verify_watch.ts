/** Open connections that go by access tokens: each ends with its session, or when its token has expired. */
import { SessionRevoked, TokenExpired, TokenMalformed } from "./verify_errors.ts";
import type { AccessToken } from "./verify_token.ts";

/** An open connection. */
export interface Watch {
  /** The newest access token. */
  readonly token: AccessToken;
  /**
   * Continue with a newer access token of the same session; return its contents.
   *
   * @throws as `verify`; the connection then continues with the previous token.
   */
  renew(accessToken: string): Promise<AccessToken>;
  /** Stop watching: the connection has ended. */
  stop(): void;
}

export type WatchEnd = (reason: SessionRevoked | TokenExpired) => void;

export interface Watches {
  add(token: AccessToken, onEnd: WatchEnd, verify: (accessToken: string) => Promise<AccessToken>): Watch;
  /** End those that this holds for. */
  endWhere(holds: (token: AccessToken) => boolean): void;
}

/** Milliseconds between two looks for tokens that have expired; one timer looks at all of them. */
const LOOK_EVERY = 500;

/** @param leeway milliseconds that a connection outlives its access token. */
export function createWatches(leeway: number): Watches {
  const watched = new Map<{ token: AccessToken }, WatchEnd>();
  let timer: ReturnType<typeof setInterval> | undefined;

  const remove = (watch: { token: AccessToken }) => {
    watched.delete(watch);
    if (watched.size || timer === undefined) return;
    clearInterval(timer);
    timer = undefined;
  };
  const end = (holds: (token: AccessToken) => boolean, reason: () => SessionRevoked | TokenExpired) => {
    for (const [watch, onEnd] of watched) {
      if (!holds(watch.token)) continue;
      remove(watch);
      queueMicrotask(() => onEnd(reason())); // what it throws is its own
    }
  };
  const look = () => {
    const now = Date.now() - leeway;
    end(({ expiresAt }) => now >= expiresAt, () => new TokenExpired("the access token has expired"));
  };

  return {
    add(first, onEnd, verify) {
      const watch = {
        token: first,
        async renew(accessToken: string) {
          const token = await verify(accessToken);
          if (token.sessionId !== watch.token.sessionId) throw new TokenMalformed("an access token of another session");
          if (token.expiresAt > watch.token.expiresAt) watch.token = token;
          return token;
        },
        stop: () => remove(watch),
      };
      watched.set(watch, onEnd);
      timer ??= setInterval(look, LOOK_EVERY);
      return watch;
    },
    endWhere: (holds) => end(holds, () => new SessionRevoked("the access token's session has ended")),
  };
}
