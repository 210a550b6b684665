/** The access token itself, for what is not sent by `fetch`: a WebSocket, a worker. */
import type { Core } from "./core.ts";
import { LoginRequired } from "./errors.ts";
import { refuseUnknown } from "./options.ts";
import { refresh } from "./refresh.ts";
import { renew } from "./replay.ts";
import { GOOD_FOR } from "./timing.ts";

export interface TokenOptions {
  /** Milliseconds for which it has to be good, if possible; default 5000. At most half of its lifetime counts. */
  goodFor?: number;
}

/**
 * Return an access token; a refresh is only waited for if it is needed.
 *
 * @throws LoginRequired if nobody is logged in.
 * @throws RefreshUnavailable if the token has expired and there cannot be a new one now.
 */
export async function accessToken(core: Core, { goodFor = GOOD_FOR, ...unknown }: TokenOptions = {}): Promise<string> {
  refuseUnknown(unknown);
  if (!(goodFor >= 0)) throw new TypeError(`goodFor: ${goodFor}: expected milliseconds`);
  let { token } = core;
  const left = token?.left() ?? 0;
  if (token ? left <= Math.min(goodFor, (token.lifetime ?? 0) / 2) : !core.at) {
    token = await renew(core, token, undefined, () => !token || token.left() <= 0);
  } else if (token && token.due() <= 0) void refresh(core);
  if (!token) throw new LoginRequired(core.reason);
  token.used = true;
  return token.accessToken;
}
