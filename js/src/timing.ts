/** Every span of time the session goes by, in milliseconds. */
import type { Grant, Outcome } from "./endpoints.ts";

/** The last share of its lifetime in which a token is refreshed ahead of expiry, unless told otherwise. */
export const AHEAD = 0.2;

/** A 401 for a token obtained this recently is the caller's; of a short-lived token, at most a tenth of its life. */
export const FRESH = 1000;

/** How long `session.token()` is good for, unless told otherwise. */
export const GOOD_FOR = 5000;

/** How long before the end of a session its user is warned, unless told otherwise. */
export const WARN_BEFORE = 120_000;

/** A login, a logout. The whole of a refresh is three times what its first request may take. */
export const DEADLINE = 10_000;

/** One request of a refresh; with a server that takes longer, later requests get twice what the last one took. */
export const ATTEMPT = 5000;
const LONGEST_ATTEMPT = 10_000;

/** How long a tab waits for another one's refresh before it goes ahead without: a tab may hang. */
export const PATIENCE = 4000;

/** How long to wait for what the tab that had the lock has to tell, and for an answer where nothing is known. */
export const AFTER_A_WAIT = 100;
export const AT_THE_START = 30;

/** A timer that is told to wait longer fires at once (HTML: 32 bits). */
export const LONGEST_TIMER = 2 ** 31 - 1;
export const SHORTEST_TIMER = 500;

/** A server that asks for more than this is asked again after this long. */
export const LONGEST_RETRY_AFTER = 300_000;

/**
 * How many failed requests in a row a refresh waits out. A lost answer is worth another try at once: within the grace
 * period the server gives the same successor again. So is a stale one: by now the cookie jar has the newer token.
 */
export const ATTEMPTS = 3;
const PAUSE = 100;
const LONGEST_PAUSE = 32_000;

/** Return for how long nobody refreshes after so many failures in a row, and no less than the server asks for. */
export const backoff = (failures: number, { retryAfter = 0 }: Outcome): number =>
  Math.max((Math.min(PAUSE * 2 ** failures, LONGEST_PAUSE) * (1 + Math.random())) / 2, retryAfter);

/** Return how long the next request of a refresh may take, after one that took so long. */
export const nextAttempt = (took: number): number => Math.min(Math.max(2 * took, ATTEMPT), LONGEST_ATTEMPT);

/**
 * Return how old a token has to be for a 401 to cause a refresh: a newer one would fare no better. It is longer after
 * refreshes that did not help there, so many in a row.
 */
export const fruitless = (times: number, { lifetime = Infinity }: Pick<Grant, "lifetime">): number =>
  Math.min(FRESH * 2 ** times, times ? LONGEST_RETRY_AFTER : lifetime / 10);
