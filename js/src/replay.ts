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
import { type Core, noteUser } from "./core.ts";
import { refreshingCanHelp } from "./endpoints.ts";
import { RefreshUnavailable, loginRequired } from "./errors.ts";
import { observe, stepUp } from "./parts.ts";
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
  /** Whether no user has caused it, but a timer: it keeps no idle session alive. */
  passive?: boolean | undefined;
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

/** The session endpoints that get no access token. */
const OWN = /^([^?]+)\/(login|refresh|logout)(\?|$)/;

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
  const [, base, path] = OWN.exec(url) ?? [];
  if (base === core.url) {
    const answer = await asked.send();
    await observe(core, path!, asked.look(answer)).catch(() => {});
    return answer;
  }
  core.closing.throwIfAborted();
  if (asked.refresh === false) return sendFor(core, asked, core.token?.accessToken);
  return sendWithToken(core, url, asked);
}

async function sendWithToken<R>(core: Core, url: string, asked: Exchange<R>): Promise<R> {
  const { repeatable, signal, reads, look } = asked;
  const token = await usableToken(core, asked, (token) => !repeatable && token.due() <= 0);
  const send = async (token?: Token, earlier?: R) => {
    const answer = await sendFor(core, asked, token?.accessToken, earlier);
    const { status, from, challenge } = look(answer);
    const refused: boolean =
      (await core.shouldRefresh?.(answer)) ?? (status === 401 && !!core.cover(from || url) && refreshingCanHelp(challenge));
    if (!refused && token) core.login.refusals.delete(place);
    return [answer, refused, from, challenge] as const;
  };
  const place = url.replace(/\?.*/, "");
  const [answer, refused, from, challenge] = await send(token);
  if (!refused) return answer;
  if (!token) {
    if (core.token) return answer; // somebody has logged in since
    throw loginRequired(core.reason, answer);
  }

  // after a redirect, to start again would repeat what the first stop did
  const again = repeatable && (reads || !from || from === url);
  let newer = core.token;
  if (challenge?.includes("insufficient_user")) {
    newer = await stepUp(core, "wait", { url, token, challenge, response: answer, again, signal });
  } else if ((core.emit("unauthorized", { url }), newer === token)) {
    if (!core.refreshing) {
      const { refusals } = core.login;
      const times = refusals.get(place) ?? 0;
      if (token.age() < fruitless(times, token)) return answer;
      if (refusals.size >= MOST_REFUSALS) refusals.clear();
      refusals.set(place, times + 1);
    }
    if (challenge?.includes("invalid_token")) token.expire();
    newer = await renew(core, token, signal, () => repeatable, answer);
  }
  if (!isSameUser(token, newer)) throw loginRequired(core.reason, answer);
  if (newer === token || !again) return answer;
  core.emit("replayed", { url });
  newer.used = true;
  const [last, still] = await send(newer, answer);
  if (still && !isSameUser(token, core.token)) throw loginRequired(core.reason, last);
  return last;
}

/**
 * Return the token to begin with, `undefined` if nobody is logged in.
 *
 * @param first tells whether a token that has not expired is better refreshed first.
 */
export async function usableToken(
  core: Core,
  { passive, signal }: Pick<Exchange<unknown>, "passive" | "signal">,
  first: (token: Token) => boolean,
): Promise<Token | undefined> {
  if (!passive && !core.idle) noteUser(core);
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
  if (token && !isSameUser(token, core.token)) throw loginRequired(core.reason, answer);
  if (core.token === token && (token || !core.at) && dead()) {
    throw new RefreshUnavailable(outcome?.unavailable ?? "refresh failed", { retryAfter: outcome?.retryAfter });
  }
  return core.token;
}
