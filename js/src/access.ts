/** The access token itself, for what is not sent by `fetch`: a WebSocket, a worker. */
import type { Core } from "./core.ts";
import { loginRequired } from "./errors.ts";
import { refuse, refuseUnknown } from "./options.ts";
import { usableToken } from "./replay.ts";
import { GOOD_FOR } from "./timing.ts";

export interface TokenOptions {
  /** Milliseconds for which it has to be good, if possible; default 5000. At most half of its lifetime counts. */
  goodFor?: number;
  /** Whether no user has caused this, but a timer: a refresh then keeps no idle session alive. */
  passive?: boolean;
}

/**
 * Return an access token; a refresh is only waited for if it is needed.
 *
 * @throws LoginRequired if nobody is logged in.
 * @throws RefreshUnavailable if the token has expired and there cannot be a new one now.
 */
export async function accessToken(core: Core, { goodFor = GOOD_FOR, passive, ...unknown }: TokenOptions = {}): Promise<string> {
  refuseUnknown(unknown);
  if (!(goodFor >= 0)) refuse("goodFor", goodFor, GOOD_FOR);
  const token = await usableToken(core, { passive }, ({ left, lifetime = 0 }) => left() < Math.min(goodFor, lifetime / 2));
  if (!token) throw loginRequired(core.reason);
  return token.accessToken;
}
