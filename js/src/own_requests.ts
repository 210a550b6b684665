/** The application's own requests to the session endpoints: observed, so that existing code need not change. */
import type { Core } from "./core.ts";
import { readGrant } from "./endpoints.ts";
import { readObject } from "./json.ts";
import { forgetLogout } from "./logout.ts";
import type { Seen } from "./replay.ts";

/** Apply a login, a refresh or a logout that has succeeded; `path` says which. */
export default async function observe(core: Core, path: string, { status, text }: Seen): Promise<void> {
  if (status < 200 || status > 299) return;
  const grant = readGrant(readObject(await text()));
  if (grant) forgetLogout(core);
  if (grant || path === "logout") core.settle({ grant, reason: path });
}
