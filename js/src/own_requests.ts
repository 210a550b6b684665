/** The application's own use of the session endpoints: observed, so that existing code need not change. */
import type { Core } from "./core.ts";
import { readGrant } from "./endpoints.ts";
import { readObject } from "./json.ts";
import { forgetLogout } from "./logout.ts";

/** Return which of the endpoints that get no access token a URL names, if any. */
export function ownEndpoint({ url }: Core, asked: string): string | undefined {
  const [, base, path] = /^([^?]+)\/(login|refresh|logout)(\?|$)/.exec(asked) ?? [];
  return base === url ? path : undefined;
}

/** Apply what such an endpoint has answered to the application. */
export function observe(core: Core, path: string, text: string): void {
  const grant = readGrant(readObject(text));
  if (grant) forgetLogout(core);
  else if (path !== "logout") return;
  core.settle({ at: core.tick(), grant, reason: path });
}
