import type { Core } from "./core.ts";
import { endpoint, overhear } from "./own.ts";
import { carry } from "./replay.ts";

/**
 * Make a `fetch` that never shows an expiry. Requests to other origins, and those that bring an `Authorization` header
 * of their own, go through as they are.
 */
export function createFetch(core: Core): typeof fetch {
  return async (input, init) => {
    const url = core.cover((input as Request).url ?? input);
    if (!url) return core.native(input, init);
    // From here on it is what it was when it was asked for, whatever the caller does to its parts.
    const request = new Request(input, init);
    if (request.headers.has("authorization") || request.mode === "no-cors") return core.native(request);
    const path = endpoint(core, url);
    if (path) {
      const answer = await core.native(request);
      if (answer.ok) overhear(core, path, await answer.clone().text());
      return answer;
    }
    const reads = /^(GET|HEAD)$/.test(request.method);
    const repeatable = !(init?.body instanceof ReadableStream);
    const first = reads || !repeatable ? request : request.clone();
    return carry(core, {
      url,
      reads,
      repeatable,
      signal: request.signal,
      send(token, earlier) {
        void earlier?.body?.cancel();
        const sending = earlier ? request : first;
        if (token) sending.headers.set("authorization", `Bearer ${token}`);
        return core.native(sending);
      },
      look: ({ status, url, headers }) => [status, url, headers.get("www-authenticate")],
    });
  };
}
