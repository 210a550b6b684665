/**
 * Sends one request of the user, whatever expires meanwhile.
 *
 * Before it, by the clock:
 *
 *     token              body can be sent again        body cannot
 *     young              use it                        use it
 *     close to expiry    use it, refresh meanwhile     refresh first
 *     expired            refresh first                 refresh first
 *     of unknown age     use it                        use it
 *
 * After a refusal: a 401 that a refresh can help, or a response for which the application says so:
 *
 *     the token has been replaced since       send again with the newer one, no refresh
 *     it was received only moments ago        the caller gets the refusal: a newer token would not be better
 *     a refresh did not help here before      the caller gets the refusal, for a growing time
 *     else                                    refresh, then send again
 *
 * A request is sent again at most once. If its body cannot be sent again completely, the caller gets the refusal, and the
 * session has been refreshed. If another user has logged in meanwhile, nothing is sent again: a request is never sent as
 * another user.
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
  /** Whether its body can certainly be sent a second time. */
  repeatable: boolean;
  /** The caller's signal, if any. */
  signal?: AbortSignal | undefined;
  /** False to send it once, with the current token, if any. */
  refresh?: boolean | undefined;
  /** Whether a timer and no user has caused it: it does not keep an idle session alive. */
  passive?: boolean | undefined;
  /**
   * Send it with this access token, or without one.
   *
   * @param login aborted when its login ends or another user logs in.
   * @param earlier the first response, if this is the second request.
   */
  send(accessToken?: string, login?: AbortSignal, earlier?: R): Promise<R>;
  /** Return the response's status, its final URL, its challenge, and a function that reads its body. */
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
 * @throws LoginRequired if the session has ended or another user has logged in, and the server asks for a login.
 * @throws RefreshUnavailable if the token has expired and a new one cannot be requested now.
 * @throws SessionClosed if the session is closed.
 * @throws the signal's reason, at once, if the caller aborts; a refresh under way continues.
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
    if (core.token) return answer; // a user has logged in since
    throw loginRequired(core.reason, answer);
  }

  // after a redirect, starting again would repeat the first request
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
 * Return the token to send first, `undefined` if nobody is logged in.
 *
 * @param first returns whether to refresh a token first that has not expired.
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

/** Send a request for the current login; it ends with that login, but a write gets its response first. */
function sendFor<R>({ login }: Core, { reads, send }: Exchange<R>, token?: string, earlier?: R): Promise<R> {
  return reads || !token
    ? send(token, token ? login.over : undefined, earlier)
    : login.during(() => send(token, login.settled, earlier));
}

/**
 * Return the token to use after a refresh: the newer one, the same one if it is still valid, or none if nobody is
 * logged in.
 *
 * @param dead returns whether the same token cannot be used any more.
 * @param answer the response that refused the token, if any.
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
