/** The application's own use of the session endpoints: observed, so that existing code need not change. */
import type { Core } from "./core.ts";
import { readGrant } from "./endpoints.ts";
import { readObject } from "./json.ts";
import { forgetLogout } from "./logout.ts";
import type { Exchange } from "./replay.ts";

/** Send a request to such an endpoint as it is, and apply what is answered. */
export default async function sendOwn<R>(core: Core, path: string, { send, look }: Exchange<R>): Promise<R> {
  const answer = await send();
  const { status, text } = look(answer);
  if (status < 200 || status > 299) return answer;
  const grant = readGrant(readObject(await text()));
  if (grant) forgetLogout(core);
  if (grant || path === "logout") core.settle({ grant, reason: path });
  return answer;
}
