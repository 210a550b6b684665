import { stopwatch } from "./clock.ts";
import type { Grant } from "./endpoints.ts";
import { type User, readUser } from "./user.ts";

/** The access token of this tab. Its lifetime counts from receipt, so a wrong wall clock does not matter. */
export interface Token extends Grant {
  user: User | null;
  /** Milliseconds since it was received. */
  age(): number;
  /** Milliseconds until it expires; infinite if its lifetime is unknown. */
  left(): number;
  /** Milliseconds until it is refreshed before it expires; infinite if its lifetime is unknown. */
  due(): number;
  /** Treat it as expired from now on: the server has said so. */
  expire(): void;
  /** Whether a request was sent with it. */
  used?: boolean;
  /** Whether the user has been active since the server last learnt it. */
  active?: boolean;
}

/**
 * Measure an access token's life.
 *
 * @param already its age in milliseconds, if it comes from another tab.
 * @param ahead the last share of its life in which it is refreshed before it expires.
 */
export function createToken({ accessToken, lifetime }: Grant, already: number, ahead: number): Token {
  const age = stopwatch(already);
  let life = lifetime ?? Infinity;
  // jitter spreads the refreshes of many tabs and users over the first half of that share
  let young = life * (1 - ahead * (1 - Math.random() / 2));
  return {
    accessToken,
    lifetime,
    user: readUser(accessToken),
    age,
    left: () => life - age(),
    due: () => young - age(),
    expire() {
      life = young = 0;
    },
  };
}

/** Return whether two tokens are of the same user, as far as they say. */
export const isSameUser = (token: Token, newer: Token | undefined): newer is Token =>
  !!newer && newer.user?.subject === token.user?.subject;
