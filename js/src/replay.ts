/**
 * Takes one request of the user's through whatever expires meanwhile.
 *
 * Before it, by the clock:
 *
 *     token              body can be sent again        body cannot
 *     young              use it                        use it
 *     close to expiry    use it, refresh behind        refresh first
 *     expired            refresh first                 refresh first
 *     of unknown age     use it                        use it
 *
 * After a 401 that refreshing can help:
 *
 *     the token has been replaced since       send again with the newer one, no refresh
 *     it was obtained only moments ago        the 401 is the caller's: a newer token would not be better
 *     else                                    refresh, then send again
 *
 * A request is sent again at most once. A body that cannot be sent again whole is not sent again at all: the caller
 * gets the 401, and a session that has been refreshed. Nor is anything sent again where another user has logged in
 * meanwhile: what one user asked for is never asked for in another's name.
 */
import type { Core } from "./core.ts";
import { LoginRequired, RefreshUnavailable } from "./errors.ts";
import type { Held } from "./held.ts";
import { refresh } from "./refresh.ts";
import { refreshingCanHelp } from "./wire.ts";

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
  /** Give the answer's status, the URL it came from in the end, and its challenge. */
  look(answer: R): [status: number, from: string | undefined, challenge: string | null | undefined];
}

/**
 * @throws LoginRequired where the session turns out to be over, or to be another user's by now.
 * @throws RefreshUnavailable where the token is dead and no new one can be had now.
 * @throws the signal's reason, at once, where the caller aborts; a refresh under way goes on.
 */
export async function carry<R>(core: Core, exchange: Exchange<R>): Promise<R> {
  const { url, repeatable, signal } = exchange;
  let { held } = core;
  const due = held && held.young() <= 0;
  if (held ? held.isExpired() || (due && !repeatable) : !core.at) {
    held = await renewed(core, held, signal, () => !held || held.isExpired());
  } else if (due) void refresh(core);
  if (!held) return exchange.send();
  held.used = true;
  const answer = await exchange.send(held.accessToken);
  const [status, from, challenge] = exchange.look(answer);
  if (status !== 401 || !core.cover(from || url) || !refreshingCanHelp(challenge)) return answer;

  core.emit("unauthorized", { url });
  let newer = core.held;
  if (newer === held) {
    if (held.isFresh()) return answer;
    if (challenge?.includes("invalid_token")) held.kill();
    newer = await renewed(core, held, signal, () => repeatable);
  }
  if (!isSame(held, newer)) throw new LoginRequired(core.reason);
  // after a redirect, to start again would repeat what the first stop did
  const again = repeatable && (exchange.reads || !from || from === url);
  if (newer === held || !again) return answer;
  core.emit("replayed", { url });
  newer.used = true;
  return exchange.send(newer.accessToken, answer);
}

/**
 * Return what to go on with after a refresh: the newer token, the same one where it is still good, or none where it
 * turns out that nobody is logged in.
 *
 * @param dead tells whether the same token is of no more use.
 */
async function renewed(
  core: Core,
  held: Held | undefined,
  signal: AbortSignal | undefined,
  dead: () => boolean,
): Promise<Held | undefined> {
  const outcome = await unlessAborted(refresh(core), signal);
  if (held && !isSame(held, core.held)) throw new LoginRequired(core.reason);
  if (core.held === held && (held || !core.at) && dead()) {
    throw new RefreshUnavailable(outcome?.unavailable ?? "refresh failed", outcome?.retryAfter);
  }
  return core.held;
}

/** Tell whether a token is of the session that another one was of, as far as they say. */
const isSame = (held: Held, newer: Held | undefined): newer is Held =>
  !!newer && newer.user?.subject === held.user?.subject;

/** Wait, but no longer than the caller wants to. */
function unlessAborted<T>(waiting: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  return new Promise((resolve, reject) => {
    const stop = () => reject(signal!.reason);
    if (signal?.aborted) stop();
    signal?.addEventListener("abort", stop);
    void waiting.then(resolve).then(() => signal?.removeEventListener("abort", stop));
  });
}
