import { stopwatch } from "./clock.ts";
import { FRESH } from "./timing.ts";
import { type User, readUser } from "./user.ts";
import type { Grant } from "./wire.ts";

/** An access token in hand. Its lifetime counts from receipt: what a wrong wall clock says of `exp` is nothing to us. */
export interface Held extends Grant {
  user: User | null;
  /** Milliseconds since it was received. */
  age(): number;
  /** Milliseconds until it is refreshed ahead of expiry; infinite where its life is unknown. */
  young(): number;
  isExpired(): boolean;
  /** Whether it came only moments ago, so that a newer one would fare no better. */
  isFresh(): boolean;
  /** Hold it for dead from now on: the server has said so. */
  kill(): void;
  /** Whether a request was sent with it. */
  used?: boolean;
}

/**
 * Take an access token in hand.
 *
 * @param already its age in milliseconds, where it comes from another tab.
 * @param ahead the last share of its life in which it is refreshed ahead of expiry.
 */
export function hold({ accessToken, lifetime }: Grant, already: number, ahead: number): Held {
  const age = stopwatch(already);
  let life = lifetime ?? Infinity;
  // jitter spreads the refreshes of many tabs and users over the first half of the time ahead of expiry
  let due = life * (1 - ahead * (1 - Math.random() / 2));
  return {
    accessToken,
    lifetime,
    user: readUser(accessToken),
    age,
    young: () => due - age(),
    isExpired: () => age() >= life,
    isFresh: () => age() < Math.min(FRESH, life / 10),
    kill() {
      life = due = 0;
    },
  };
}
