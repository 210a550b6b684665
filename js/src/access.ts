/** The access token itself, for code that does not use `fetch`: a WebSocket, a worker. */
import type { Core } from "./core.ts";
import { loginRequired } from "./errors.ts";
import { refuse, refuseUnknown } from "./options.ts";
import { usableToken } from "./replay.ts";
import { GOOD_FOR } from "./timing.ts";

export interface TokenOptions {
  /** Milliseconds for which it has to be valid; default 5000, at most half of its lifetime. */
  goodFor?: number;
  /** Whether a timer and no user has caused this: a refresh then does not keep an idle session alive. */
  passive?: boolean;
}

/**
 * Return an access token; wait for a refresh only if it is needed.
 *
 * @throws LoginRequired if nobody is logged in.
 * @throws RefreshUnavailable if the token has expired and a new one cannot be requested now.
 */
export async function accessToken(core: Core, { goodFor = GOOD_FOR, passive, ...unknown }: TokenOptions = {}): Promise<string> {
  refuseUnknown(unknown);
  if (!(goodFor >= 0)) refuse("goodFor", goodFor, GOOD_FOR);
  const token = await usableToken(core, { passive }, ({ left, lifetime = 0 }) => left() < Math.min(goodFor, lifetime / 2));
  if (!token) throw loginRequired(core.reason);
  return token.accessToken;
}
