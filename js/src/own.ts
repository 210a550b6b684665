/** The application's own use of the session endpoints: listened to, so that existing code need not change. */
import type { Core } from "./core.ts";
import { forgetLogout } from "./logout.ts";
import { readGrant, readObject } from "./wire.ts";

/** Tell which of the endpoints that get no access token a URL names, if any. */
export function endpoint({ url }: Core, asked: string): string | undefined {
  return asked.startsWith(url) ? /^\/(login|refresh|logout)(\?|$)/.exec(asked.slice(url.length))?.[1] : undefined;
}

/** Take in what such an endpoint has answered to the application. */
export function overhear(core: Core, path: string, text: string): void {
  const grant = readGrant(readObject(text));
  if (grant) forgetLogout(core);
  else if (path !== "logout") return;
  core.settle({ at: core.tick(), grant, reason: path });
}
