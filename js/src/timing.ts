/** Every duration of the session, in milliseconds. */
import type { Grant, Outcome } from "./endpoints.ts";

/** The last share of its lifetime in which a token is refreshed ahead of expiry, by default. */
export const AHEAD = 0.2;

/** The caller gets a 401 for a token received this recently; for a short-lived token, at most a tenth of its life. */
export const FRESH = 1000;

/** How long the result of `session.token()` is valid, by default. */
export const GOOD_FOR = 5000;

/** How long before the end of a session its user is warned, by default. */
export const WARN_BEFORE = 120_000;

/** The limit of a login or logout. A whole refresh may take three times the limit of its first request. */
export const DEADLINE = 10_000;

/** The limit of one request of a refresh; if a server is slower, later requests get twice the time of the last one. */
export const ATTEMPT = 5000;
const LONGEST_ATTEMPT = 10_000;

/** How long a tab waits for another one's refresh before it starts its own: a tab may hang. */
export const PATIENCE = 4000;

/** How long to wait for the message of the tab that had the lock, and for an answer if nothing is known. */
export const AFTER_A_WAIT = 100;
export const AT_THE_START = 30;

/** A timer with a longer time fires at once (HTML: 32 bits). */
export const LONGEST_TIMER = 2 ** 31 - 1;
export const SHORTEST_TIMER = 500;

/** A server that asks for more than this is asked again after this long. */
export const LONGEST_RETRY_AFTER = 300_000;

/**
 * How many failed requests in a row one refresh repeats. After a lost answer it retries at once: within the grace period
 * the server gives the same successor. Also after a stale one: the cookie jar has the newer token by then.
 */
export const ATTEMPTS = 3;
const PAUSE = 100;
const LONGEST_PAUSE = 32_000;

/** Return the pause after this many failures in a row, at least what the server asks for. */
export const backoff = (failures: number, { retryAfter = 0 }: Outcome): number =>
  Math.max((Math.min(PAUSE * 2 ** failures, LONGEST_PAUSE) * (1 + Math.random())) / 2, retryAfter);

/** Return how long the next request of a refresh may take, after one that took this long. */
export const nextAttempt = (took: number): number => Math.min(Math.max(2 * took, ATTEMPT), LONGEST_ATTEMPT);

/**
 * Return how old a token has to be for a 401 to cause a refresh: for a newer one another would be no better. It is longer
 * after this many refreshes in a row that did not help.
 */
export const fruitless = (times: number, { lifetime = Infinity }: Pick<Grant, "lifetime">): number =>
  Math.min(FRESH * 2 ** times, times ? LONGEST_RETRY_AFTER : lifetime / 10);
