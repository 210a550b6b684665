import { type Core, PASSIVE } from "./core.ts";
import { exchange } from "./replay.ts";

/** The options of `session.fetch`: those of `fetch`, and these. */
export interface SessionRequestInit extends RequestInit {
  /** False: send it at once with the current token, if any, and return the response unchanged. */
  refresh?: boolean;
  /**
   * Whether a timer and no user has caused this request: it does not keep an idle session alive. It is sent with
   * `X-Daypass-Passive: 1`, if its origin is the page's own; a request that has this header is passive, too.
   */
  passive?: boolean;
}

export type SessionFetch = (input: RequestInfo | URL, init?: SessionRequestInit) => Promise<Response>;

/**
 * Make a `fetch` that never shows an expiry. Requests to other origins, and those that already have an `Authorization`
 * header, are not changed.
 */
export function createFetch(core: Core): SessionFetch {
  return async (input, init) => {
    if (!core.cover((input as Request).url ?? input)) return core.send(input, init);
    // From here on the request stays the same, whatever the caller does to its parts.
    const request = new Request(input, copyBody(init));
    const { method, signal, url, referrer, referrerPolicy, headers } = request;
    // another origin may not allow the header
    if (init?.passive && url.startsWith(`${location.origin}/`)) headers.set(PASSIVE, "1");
    if (headers.has("authorization")) return core.send(request);
    const reads = /^(GET|HEAD)$/.test(method);
    const repeatable = !(init?.body instanceof ReadableStream);
    return exchange(core, {
      url,
      reads,
      repeatable,
      signal,
      refresh: init?.refresh,
      passive: init?.passive ?? headers.has(PASSIVE),
      send(token, login, earlier) {
        void earlier?.body?.cancel();
        const sending = repeatable && !earlier ? request.clone() : request;
        if (token) sending.headers.set("authorization", `Bearer ${token}`);
        const ending = login && AbortSignal.any?.([signal, login]);
        // any option of `fetch` drops the referrer
        if (!ending) return core.send(sending);
        ending.onabort = () => {}; // WebKit drops a combined signal without a listener, while the body still comes
        // WebKit says AbortError, whatever the reason
        return core.send(sending, { signal: ending, referrer, referrerPolicy }).catch((error) => {
          throw ending.reason ?? error;
        });
      },
      look: (answer) => ({
        status: answer.status,
        from: answer.url,
        challenge: answer.headers.get("www-authenticate"),
        text: () => answer.clone().text(),
      }),
    });
  };
}

/** Copy data that the caller may still change: WebKit reads bytes and parameters only when it sends the request. */
function copyBody(init?: SessionRequestInit): SessionRequestInit | undefined {
  const body = init?.body;
  if (body instanceof URLSearchParams) return { ...init, body: new URLSearchParams(body) };
  return (body as ArrayBuffer)?.byteLength ? { ...init, body: new Blob([body as ArrayBuffer]) } : init;
}
