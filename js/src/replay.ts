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
 *     a refresh did not help here lately      the refusal is the caller's, for a growing while
 *     else                                    refresh, then send again
 *
 * A request is sent again at most once. A body that cannot be sent again whole is not sent again at all: the caller
 * gets the refusal, and a session that has been refreshed. Nor is anything sent again if another user has logged in
 * meanwhile: what one user asked for is never asked for in another's name.
 */
import type { Core } from "./core.ts";
import { refreshingCanHelp } from "./endpoints.ts";
import { LoginRequired, RefreshUnavailable } from "./errors.ts";
import type { LoginSignal, Refusals } from "./login_signal.ts";
import { observe, ownEndpoint } from "./own_requests.ts";
import { refresh } from "./refresh.ts";
import { fruitless } from "./timing.ts";
import { type Token, isSameUser } from "./token.ts";
import { unlessAborted } from "./waiting.ts";

/** One request, whatever library sends it. */
export interface Exchange<R> {
  url: string | URL;
  /** Whether it is a GET or a HEAD. */
  reads: boolean;
  /** Whether its body is known, before it is sent, to be the same the second time. */
  repeatable: boolean;
  /** The caller's, if any. */
  signal?: AbortSignal | undefined;
  /** False if it is only to be sent, with the token there is, if any. */
  refresh?: boolean | undefined;
  /**
   * Send it with this access token, or without one.
   *
   * @param login is aborted when the login that it is sent for ends, or another user logs in.
   * @param earlier the answer to the first sending, if this is the second.
   */
  send(accessToken?: string, login?: AbortSignal, earlier?: R): Promise<R>;
  /** Return the answer's status, the URL it came from in the end, its challenge, and what reads its body. */
  look(answer: R): Seen;
}

export interface Seen {
  status: number;
  from: string | undefined;
  challenge: string | null | undefined;
  text(): Promise<string> | string;
}

/** URLs whose refusals are remembered. */
const MOST_REFUSALS = 100;

/**
 * Send a request; of another origin, as it is. The application's own logins and logouts are observed.
 *
 * @throws LoginRequired if the session is over, or another user's by now, and the server asks for a login.
 * @throws RefreshUnavailable if the token has expired and there cannot be a new one now.
 * @throws SessionClosed if the session is closed.
 * @throws the signal's reason, at once, if the caller aborts; a refresh under way goes on.
 */
export async function exchange<R>(core: Core, asked: Exchange<R>): Promise<R> {
  const url = core.cover(asked.url);
  if (!url) return asked.send();
  const path = ownEndpoint(core, url);
  if (path) {
    const answer = await asked.send();
    const { status, text } = asked.look(answer);
    if (status > 199 && status < 300) observe(core, path, await text());
    return answer;
  }
  core.closing.throwIfAborted();
  if (asked.refresh === false) return sendFor(core, asked, core.token?.accessToken);
  return sendWithToken(core, url, asked);
}

async function sendWithToken<R>(core: Core, url: string, asked: Exchange<R>): Promise<R> {
  const { repeatable, signal, reads, look } = asked;
  const token = await usableToken(core, signal, (token) => !repeatable && token.due() <= 0);
  const send = async (token?: Token, earlier?: R): Promise<[R, boolean]> => {
    const answer = await sendFor(core, asked, token?.accessToken, earlier);
    const { status, from, challenge } = look(answer);
    const refused =
      (await core.shouldRefresh?.(answer)) ?? (status === 401 && !!core.cover(from || url) && refreshingCanHelp(challenge));
    if (!refused && token) core.login.refusals.delete(place);
    return [answer, refused];
  };
  const [place] = url.split("?") as [string];
  const [answer, refused] = await send(token);
  if (!refused) return answer;
  if (!token) {
    if (core.token) return answer; // somebody has logged in since
    throw new LoginRequired(core.reason, answer);
  }

  core.emit("unauthorized", { url });
  const { from, challenge } = look(answer);
  let newer = core.token;
  if (newer === token) {
    if (token.isFresh() || !helps(core.login, place, token)) return answer;
    if (challenge?.includes("invalid_token")) token.expire();
    newer = await renew(core, token, signal, () => repeatable, answer);
  }
  if (!isSameUser(token, newer)) throw new LoginRequired(core.reason, answer);
  // after a redirect, to start again would repeat what the first stop did
  const again = repeatable && (reads || !from || from === url);
  if (newer === token || !again) return answer;
  core.emit("replayed", { url });
  newer.used = true;
  const [last, still] = await send(newer, answer);
  if (still && !isSameUser(token, core.token)) throw new LoginRequired(core.reason, last);
  return last;
}

/**
 * Return the token to begin with, `undefined` if nobody is logged in.
 *
 * @param first tells whether a token that has not expired is better refreshed first.
 */
export async function usableToken(
  core: Core,
  signal: AbortSignal | undefined,
  first: (token: Token) => boolean,
): Promise<Token | undefined> {
  let { token } = core;
  const expired = () => !token || token.left() <= 0;
  if (expired() ? token || !core.at : first(token!)) token = await renew(core, token, signal, expired);
  else if (token && token.due() <= 0) void refresh(core);
  if (token) token.used = true;
  return token;
}

/** Send a request for the login that there is; it ends when that does, but a write gets its answer first. */
function sendFor<R>({ login }: Core, { reads, send }: Exchange<R>, token?: string, earlier?: R): Promise<R> {
  return reads || !token
    ? send(token, token ? login.over : undefined, earlier)
    : login.during(() => send(token, login.settled, earlier));
}

/** Tell whether refreshing may help where a token was refused, and count it. */
function helps({ refusals }: LoginSignal, place: string, token: Token): boolean {
  const now = performance.now();
  const known: Refusals = refusals.get(place) ?? { times: 0, until: 0 };
  if (known.token === token) return true; // the refresh is the same
  if (now < known.until) return false;
  if (refusals.size >= MOST_REFUSALS) refusals.clear();
  const times = known.times + 1;
  refusals.set(place, { times, until: now + fruitless(times), token });
  return true;
}

/**
 * Return what to go on with after a refresh: the newer token, the same one if it is still good, or none if nobody is
 * logged in.
 *
 * @param dead tells whether the same token is of no more use.
 * @param answer what refused the token, if anything did.
 */
async function renew(
  core: Core,
  token: Token | undefined,
  signal: AbortSignal | undefined,
  dead: () => boolean,
  answer?: unknown,
): Promise<Token | undefined> {
  const outcome = await unlessAborted(refresh(core), signal, core.closing);
  if (token && !isSameUser(token, core.token)) throw new LoginRequired(core.reason, answer);
  if (core.token === token && (token || !core.at) && dead()) {
    throw new RefreshUnavailable(outcome?.unavailable ?? "refresh failed", outcome?.retryAfter);
  }
  return core.token;
}
