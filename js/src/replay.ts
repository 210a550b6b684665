/**
 * Sends one request of the user's, whatever expires meanwhile.
 *
 * Before it, by the clock:
 *
 *     token              body can be sent again        body cannot
 *     young              use it                        use it
 *     close to expiry    use it, refresh behind        refresh first
 *     expired            refresh first                 refresh first
 *     of unknown age     use it                        use it
 *
 * After a refusal, which is a 401 that refreshing can help, or what the application says is one:
 *
 *     the token has been replaced since       send again with the newer one, no refresh
 *     it was obtained only moments ago        the refusal is the caller's: a newer token would not be better
 *     else                                    refresh, then send again
 *
 * A request is sent again at most once. A body that cannot be sent again whole is not sent again at all: the caller
 * gets the refusal, and a session that has been refreshed. Nor is anything sent again if another user has logged in
 * meanwhile: what one user asked for is never asked for in another's name.
 */
import type { Core } from "./core.ts";
import { refreshingCanHelp } from "./endpoints.ts";
import { LoginRequired, RefreshUnavailable } from "./errors.ts";
import { refresh } from "./refresh.ts";
import { type Token, isSameUser } from "./token.ts";
import { unlessAborted } from "./waiting.ts";

/** One request, whatever library sends it. */
export interface Exchange<R> {
  url: string;
  /** Whether its body is known, before it is sent, to be the same the second time. */
  repeatable: boolean;
  signal: AbortSignal | undefined;
  /** Whether it is a GET or a HEAD. */
  reads: boolean;
  /** Send it with this access token, or without one; for the second time after an `earlier` answer. */
  send(accessToken?: string, earlier?: R): Promise<R>;
  /** Return the answer's status, the URL it came from in the end, and its challenge. */
  look(answer: R): [status: number, from: string | undefined, challenge: string | null | undefined];
}

/**
 * @throws LoginRequired if the session is over, or another user's by now, and the server asks for a login.
 * @throws RefreshUnavailable if the token has expired and there cannot be a new one now.
 * @throws SessionClosed if the session is closed.
 * @throws the signal's reason, at once, if the caller aborts; a refresh under way goes on.
 */
export async function sendWithToken<R>(core: Core, exchange: Exchange<R>): Promise<R> {
  const { url, repeatable, signal } = exchange;
  core.closing.throwIfAborted();
  let { token } = core;
  const due = token && token.due() <= 0;
  if (token ? token.left() <= 0 || (due && !repeatable) : !core.at) {
    token = await renew(core, token, signal, () => !token || token.left() <= 0);
  } else if (due) void refresh(core);
  if (token) token.used = true;
  const answer = await exchange.send(token?.accessToken);
  if (!(await isRefused(core, exchange, answer))) return answer;
  if (!token) {
    if (core.token) return answer; // of somebody who has logged in since
    throw new LoginRequired(core.reason, answer);
  }

  core.emit("unauthorized", { url });
  const [, from, challenge] = exchange.look(answer);
  let newer = core.token;
  if (newer === token) {
    if (token.isFresh()) return answer;
    if (challenge?.includes("invalid_token")) token.expire();
    newer = await renew(core, token, signal, () => repeatable);
  }
  if (!isSameUser(token, newer)) throw new LoginRequired(core.reason, answer);
  // after a redirect, to start again would repeat what the first stop did
  const again = repeatable && (exchange.reads || !from || from === url);
  if (newer === token || !again) return answer;
  core.emit("replayed", { url });
  newer.used = true;
  return exchange.send(newer.accessToken, answer);
}

/** Tell whether an answer refuses the access token, or the lack of one. */
async function isRefused<R>({ shouldRefresh, cover }: Core, { url, look }: Exchange<R>, answer: R): Promise<boolean> {
  const [status, from, challenge] = look(answer);
  return (
    (await shouldRefresh?.(answer)) ?? (status === 401 && !!cover(from || url) && refreshingCanHelp(challenge))
  );
}

/**
 * Return what to go on with after a refresh: the newer token, the same one if it is still good, or none if nobody is
 * logged in.
 *
 * @param dead tells whether the same token is of no more use.
 */
export async function renew(
  core: Core,
  token: Token | undefined,
  signal: AbortSignal | undefined,
  dead: () => boolean,
): Promise<Token | undefined> {
  const outcome = await unlessAborted(refresh(core), signal, core.closing);
  if (token && !isSameUser(token, core.token)) throw new LoginRequired(core.reason);
  if (core.token === token && (token || !core.at) && dead()) {
    throw new RefreshUnavailable(outcome?.unavailable ?? "refresh failed", outcome?.retryAfter);
  }
  return core.token;
}
