import { LoginRequired, RefreshUnavailable, type Snapshot, type User } from "./index.ts";
import { refreshingCanHelp } from "./endpoints.ts";
import type { Refreshed } from "./server_refresh.ts";
import { readUser } from "./user.ts";

/** The login of the browser that requested a page, for the time of this request. */
export interface ServerSession {
  readonly status: "in" | "out";
  /** For display: it is not verified here. Your API decides what a user may do. */
  readonly user: User | null;
  /** For the page in the browser, until its own session knows more. */
  snapshot(): Snapshot;
  /**
   * Return the access token.
   *
   * @throws LoginRequired if nobody is logged in.
   */
  token(): Promise<string>;
  /**
   * `fetch`, with the access token for the API's origin and `origins`. A relative URL is one of the session endpoints'
   * origin. A 401 is sent again once with a new token.
   *
   * @throws LoginRequired if the session has ended, RefreshUnavailable if no new token can be had now.
   */
  fetch: typeof fetch;
}

export interface SessionParts {
  covered: string[];
  base: string;
  send: typeof fetch;
  refresh: (() => Promise<Refreshed>) | undefined;
}

export function createServerSession(accessToken: string | undefined, { covered, base, send, refresh }: SessionParts): ServerSession {
  const user = accessToken ? readUser(accessToken) : null;
  const status = accessToken ? "in" : "out";
  const shown: Snapshot = Object.freeze({ status, user, version: 0 });
  let current = accessToken;

  const renew = async (response: Response) => {
    const { accessToken: newer, unavailable, retryAfter, stale } = await refresh!();
    if (unavailable || stale) throw new RefreshUnavailable(unavailable ?? "refresh: HTTP 409", { retryAfter });
    if (!newer) throw new LoginRequired("Login required: the session has ended", { response });
    current = newer;
  };

  return {
    status,
    user,
    snapshot: () => shown,
    async token() {
      if (!current) throw new LoginRequired("Login required: nobody is logged in");
      return current;
    },
    async fetch(input, init) {
      const given = input instanceof Request ? input : undefined;
      const url = new URL(given ? given.url : String(input), base);
      const target = given ?? url.href;
      const headers = new Headers(init?.headers ?? given?.headers);
      if (!current || !covered.includes(url.origin) || headers.has("authorization")) return send(target, init);
      const ask = () => {
        headers.set("authorization", `Bearer ${current}`);
        return send(given?.clone() ?? target, { ...init, headers });
      };
      const response = await ask();
      const { method } = init?.method ? (init as { method: string }) : (given ?? { method: "GET" });
      const repeatable = !(init?.body instanceof ReadableStream) && (!response.redirected || /^(get|head)$/i.test(method));
      const refused = response.status === 401 && refreshingCanHelp(response.headers.get("www-authenticate"));
      if (!refused || !refresh || !repeatable) return response;
      await renew(response);
      await response.body?.cancel();
      return ask();
    },
  };
}
