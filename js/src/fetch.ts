import type { Core } from "./core.ts";
import { observe, ownEndpoint } from "./own_requests.ts";
import { sendWithToken } from "./replay.ts";

/** What `session.fetch` takes besides what `fetch` takes. */
export interface SessionRequestInit extends RequestInit {
  /** False: send it at once with the token there is, if any, and return the answer as it is. */
  refresh?: boolean;
}

export type SessionFetch = (input: RequestInfo | URL, init?: SessionRequestInit) => Promise<Response>;

/**
 * Make a `fetch` that never shows an expiry. Requests to other origins, and those that have an `Authorization` header
 * already, go through as they are.
 */
export function createFetch(core: Core): SessionFetch {
  return async (input, init) => {
    if (!core.cover((input as Request).url ?? input)) return core.send(input, init);
    // From here on it is what it was when it was asked for, whatever the caller does to its parts.
    const request = new Request(input, init);
    const url = core.cover(request.url);
    if (!url || request.headers.has("authorization") || request.mode === "no-cors") return core.send(request);
    const path = ownEndpoint(core, url);
    if (path) {
      const answer = await core.send(request);
      if (answer.ok) observe(core, path, await answer.clone().text());
      return answer;
    }
    const authorize = (request: Request, token: string | undefined) => {
      if (token) request.headers.set("authorization", `Bearer ${token}`);
      return core.send(request);
    };
    if (init?.refresh === false) return authorize(request, core.token?.accessToken);
    const reads = /^(GET|HEAD)$/.test(request.method);
    const repeatable = !(init?.body instanceof ReadableStream);
    const first = reads || !repeatable ? request : request.clone();
    return sendWithToken(core, {
      url,
      reads,
      repeatable,
      signal: request.signal,
      send(token, earlier) {
        void earlier?.body?.cancel();
        return authorize(earlier ? request : first, token);
      },
      look: ({ status, url, headers }) => [status, url, headers.get("www-authenticate")],
    });
  };
}
