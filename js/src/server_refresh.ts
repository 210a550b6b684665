/** One refresh for all parallel requests of a browser, and the access tokens of browsers that come again. */
import { type Answer, judge } from "./endpoints.ts";
import { readObject } from "./json.ts";
import { type ForwardOptions, aboutClient } from "./server_auth.ts";

/** The result of a refresh: `accessToken`, `unavailable`, `stale`, or none of them if the session has ended. */
export interface Refreshed {
  accessToken?: string;
  /** The next refresh token; missing if the browser keeps the one it has. */
  refreshToken?: string | undefined;
  /** Milliseconds that the session lasts without use. */
  lifetime?: number | undefined;
  /** Whether the browser keeps the cookie when it is closed. */
  persistent?: boolean;
  unavailable?: string;
  /** The HTTP status of an answer that decided nothing; 0 if there was none. */
  status?: number;
  /** Milliseconds. */
  retryAfter?: number | undefined;
  stale?: boolean;
}

interface Held {
  accessToken: string;
  /** When it expires, and when it is too close to that for a page. */
  until: number;
  due: number;
}

const ATTEMPTS = 2;
const ATTEMPT = 5000;
const PAUSE = 200;
/** How long the result of a refresh is given to requests that still bring the old cookie. */
const SHARED = 2000;
/** The pause after a response that decided nothing, for one token. */
const RESTS = 1000;
const MOST = 10_000;
/** How long a page needs its token, at most a fifth of the token's life. */
const MARGIN = 30_000;

export interface Refresher {
  /** Return a valid access token of the browser that has this refresh token, if it is known here. */
  held(refreshToken: string, request: Request | undefined): Promise<Refreshed | undefined>;
  /** Refresh, or take part in a refresh with the same token; it never fails. `rejected` is an access token that failed. */
  refresh(refreshToken: string, request: Request | undefined, rejected?: string): Promise<Refreshed>;
  /** Return whether this server has seen the refresh token succeed, so it is not forged. */
  knows(refreshToken: string): boolean;
  forget(refreshToken: string): void;
}

export function createRefresher(url: string, options: ForwardOptions): Refresher {
  const underWay = new Map<string, { result: Promise<Refreshed>; until: number }>();
  const tokens = new Map<string, Held>();

  const refresher: Refresher = {
    async held(refreshToken, request) {
      const held = tokens.get(refreshToken);
      if (!held || Date.now() >= held.until) return undefined;
      if (Date.now() < held.due) return { accessToken: held.accessToken };
      const newer = await refresher.refresh(refreshToken, request, held.accessToken);
      return newer.unavailable && Date.now() < held.until ? { accessToken: held.accessToken } : undefined;
    },
    refresh(refreshToken, request, rejected) {
      const now = Date.now();
      for (const [key, { until }] of underWay) if (until < now) underWay.delete(key);
      const known = underWay.get(refreshToken);
      if (known) {
        return known.result.then((result) =>
          rejected && result.accessToken === rejected ? start(refreshToken, request, rejected) : result,
        );
      }
      return start(refreshToken, request, rejected);
    },
    knows: (refreshToken) => tokens.has(refreshToken),
    forget(refreshToken) {
      tokens.delete(refreshToken);
      underWay.delete(refreshToken);
    },
  };
  return refresher;

  function start(refreshToken: string, request: Request | undefined, rejected?: string): Promise<Refreshed> {
    if (tokens.get(refreshToken)?.accessToken === rejected) tokens.delete(refreshToken);
    const entry = { result: attempt(refreshToken, request), until: Infinity };
    underWay.set(refreshToken, entry);
    void entry.result.then((result) => {
      entry.until = Date.now() + (result.unavailable ? RESTS : SHARED);
      if (result.accessToken) hold(result.refreshToken ?? refreshToken, result);
    });
    return entry.result;
  }

  function hold(refreshToken: string, { accessToken, expires }: Refreshed & { expires?: number }): void {
    if (!expires) return;
    const now = Date.now();
    tokens.delete(refreshToken);
    tokens.set(refreshToken, { accessToken: accessToken!, until: now + expires, due: now + expires - Math.min(MARGIN, expires / 5) });
    for (const [key, { until }] of tokens) {
      if (tokens.size <= MOST && until > now) break;
      tokens.delete(key); // the oldest
    }
  }

  async function attempt(refreshToken: string, request: Request | undefined): Promise<Refreshed> {
    for (let turn = 1; ; turn++) {
      const result = await ask(refreshToken, request);
      const again = (result.unavailable && result.status !== 429) || result.stale;
      if (!again || turn === ATTEMPTS) return result;
      await new Promise((go) => setTimeout(go, PAUSE));
    }
  }

  async function ask(refreshToken: string, request: Request | undefined): Promise<Refreshed & { expires?: number | undefined }> {
    let answer: Answer;
    try {
      const response = await options.send(`${url}/refresh`, {
        method: "POST",
        redirect: "manual",
        cache: "no-store",
        headers: { ...aboutClient(request, options), "content-type": "application/json" },
        body: JSON.stringify({ refreshToken }),
        signal: AbortSignal.timeout(ATTEMPT),
      });
      const { status, headers } = response;
      answer = { status, headers, body: readObject(await response.text()), said: `refresh: HTTP ${status}` };
    } catch {
      return { unavailable: "refresh: no answer", status: 0 };
    }
    if (answer.status === 409) return { stale: true };
    const { grant, unavailable, retryAfter } = judge(answer);
    if (unavailable) return { unavailable, status: answer.status, retryAfter };
    if (!grant) return {};
    const { refreshToken: next, refreshExpiresIn, persistent } = answer.body!;
    return {
      accessToken: grant.accessToken,
      expires: grant.lifetime,
      refreshToken: typeof next === "string" && /^[\w.~-]{1,4000}$/.test(next) ? next : undefined,
      lifetime: typeof refreshExpiresIn === "number" ? refreshExpiresIn * 1000 : undefined,
      persistent: persistent !== false,
    };
  }
}
