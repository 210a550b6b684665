/**
 * Keeps users logged in if pages are rendered on a server in JavaScript (Next.js, Nuxt, SvelteKit, Hono), with the
 * session endpoints behind it. Only Web standards: `Request`, `Response`, `fetch`. The rules are those of Daypass's
 * pages in Python (docs/server-rendering.md).
 */
import { type ForwardOptions, forward } from "./server_auth.ts";
import { type CookieOptions, cookieIn, replaceCookie, setCookie } from "./server_cookies.ts";
import { type Refreshed, createRefresher } from "./server_refresh.ts";
import { type ServerSession, createServerSession } from "./server_session.ts";
import { parse, refuseUnknown } from "./options.ts";

export type { Snapshot, Status, User } from "./index.ts";
export type { ServerSession } from "./server_session.ts";

export interface PagesOptions {
  /** Where this server reaches the session endpoints, such as `http://127.0.0.1:8000/auth`. */
  url: string;
  /** Origins that get the access token by `session.fetch`, besides that of `url`. */
  origins?: readonly string[];
  /**
   * Where browsers reach this server, such as `https://app.example.com`: redirects go there, and the endpoints get
   * it. Behind a proxy that ends TLS a server cannot know it.
   */
  origin?: string;
  /** The path of the session endpoints on this server, for `auth`; default `/auth`. */
  mount?: string;
  /** The name of the cookie without `__Host-`; default `daypass`. */
  cookieName?: string;
  /** `SameSite` of the cookie when it is renewed; default `Lax`. */
  sameSite?: "Lax" | "Strict";
  /** Other origins whose pages may send requests that change something. */
  allowedOrigins?: readonly string[];
  /**
   * Return the address of the client, if it can be read from the request. Otherwise give it with each request. Without it
   * the endpoints see none.
   */
  address?: (request: Request) => string | undefined;
  /** Return the HTML page for a refusal. */
  render?: (status: number, code: string, message: string) => string;
  /** The function that sends requests; default `globalThis.fetch`, looked up at each request. */
  fetch?: typeof fetch;
}

/** What only your framework knows of the client that sent a request. */
export interface Client {
  /** Its address, such as `203.0.113.7`: for the limits of failed logins, and the list of devices. */
  address?: string | undefined;
}

/** The login of the browser that sent a request. */
export interface Login {
  /** Send this instead of a page: 403, 429, 503, or a redirect to the same URL. */
  readonly refusal: Response | undefined;
  readonly session: ServerSession;
  /** The request's headers for the page: with the access token, and with the new cookie. */
  readonly headers: Headers;
  /** Add the new cookie to the page's response, and keep a personal page out of caches. */
  processResponse<R extends Response>(response: R): R;
}

export interface Pages {
  /** Find the login of a request, and refresh if needed. The request's body is not read. */
  processRequest(request: Request, client?: Client): Promise<Login>;
  /** Process the request, render, and process the response; for servers that answer a `Request` with a `Response`. */
  handle(request: Request, render: Render, client?: Client): Promise<Response>;
  /** Return the session of a page's headers, as `processRequest` has changed them. */
  session(headers: Headers): ServerSession;
  /** Pass a request for the session endpoints on to them. */
  auth(request: Request, client?: Client): Promise<Response>;
}

/** Return the page for a request. */
export type Render = (request: Request, session: ServerSession) => Response | Promise<Response>;

const SAFE = /^(GET|HEAD|OPTIONS|TRACE)$/;
const PARTS = /^(audio|font|image|manifest|script|style|track|video|worker)$/;
/** A slower answer clears no cookie: another tab may have logged in by then. */
const CLEARS_WITHIN = 1000;
const TRIED = "-tried";
const BEARER = /^Bearer +([!-~]+)$/i;

/**
 * Make the object that keeps the users of a server's pages logged in; one for the process.
 *
 * @throws TypeError if an option is unknown or invalid; the message names it, and what to write.
 */
export function createPages(options: PagesOptions): Pages {
  const { url: endpoints, origins = [], origin, mount = "/auth", cookieName, sameSite = "Lax", ...others } = options;
  const { allowedOrigins = [], address, render = page, fetch, ...unknown } = others;
  refuseUnknown(unknown);
  const url = absolute("url", endpoints).replace(/\/+$/, "");
  const covered = [url, ...origins].map((each) => new URL(absolute("origins", each)).origin);
  const allowed = allowedOrigins.map((each) => new URL(absolute("allowedOrigins", each)).origin);
  const from = origin === undefined ? undefined : new URL(absolute("origin", origin));
  if (!/^\/[^?#]*$/.test(mount)) throw new TypeError(`mount: ${JSON.stringify(mount)}: expected a path such as '/auth'`);
  if (!/^(Lax|Strict)$/.test(sameSite)) throw new TypeError(`sameSite: ${JSON.stringify(sameSite)}: expected 'Lax' or 'Strict'`);
  if (cookieName !== undefined && !/^(?!__)[\w!#$%&'*+.^`|~-]{1,64}$/.test(cookieName)) {
    throw new TypeError(`cookieName: ${JSON.stringify(cookieName)}: expected up to 64 letters, digits and dashes, without __Host-`);
  }
  const cookie: CookieOptions = { name: cookieName, sameSite, port: new URL(url).port };
  const send: typeof globalThis.fetch = (input, init) => (fetch ?? globalThis.fetch)(input, init);
  const addresses = new WeakMap<Request, string>();
  const addressOf = (request: Request) => addresses.get(request) ?? address?.(request);
  const note = (request: Request, { address, ...unknown }: Client) => {
    refuseUnknown(unknown);
    if (address) addresses.set(request, address);
  };
  const forwarding: ForwardOptions = { url, mount, from, address: addressOf, send };
  const refresher = createRefresher(url, forwarding);

  const sessionOf = (accessToken: string | undefined, refresh?: () => Promise<Refreshed>) =>
    createServerSession(accessToken, { covered, base: url, send, refresh });

  const refuse = (request: Request, status: number, code: string, message: string, retryAfter?: number) => {
    const html = request.headers.get("accept")?.includes("text/html");
    const headers = new Headers({ "cache-control": "no-store", "content-type": html ? "text/html; charset=utf-8" : "application/json" });
    if (retryAfter) headers.set("retry-after", String(Math.ceil(retryAfter / 1000)));
    return new Response(html ? render(status, code, message) : JSON.stringify({ message, error: code }), { status, headers });
  };

  const processRequest = async (request: Request, client: Client = {}): Promise<Login> => {
    note(request, client);
    const began = Date.now();
    const headers = new Headers(request.headers);
    const own = headers.get("authorization");
    const found = cookieIn(headers, cookie);
    if ((own !== null && !/^basic /i.test(own)) || !found) {
      return login(request, headers, { session: sessionOf(own?.match(BEARER)?.[1]), varies: own === null });
    }
    if (!SAFE.test(request.method) || /websocket/i.test(headers.get("upgrade") ?? "")) {
      if (!isSameSite(headers, allowed)) {
        return login(request, headers, {
          refusal: refuse(request, 403, "cross_site_request", "A page of another origin may not do this"),
        });
      }
    }
    let changed: Refreshed | undefined;
    const refresh = async (rejected?: string) => (changed = await refresher.refresh(found.value, request, rejected));
    const held = await refresher.held(found.value, request);
    const outcome: Refreshed = held ?? (await refresh());
    const setCookies = () => {
      const { refreshToken, lifetime = Infinity, persistent } = changed ?? {};
      if (!refreshToken || refreshToken === found.value) return [];
      return [setCookie(found, refreshToken, persistent ? lifetime : null, cookie)];
    };
    if (outcome.accessToken) {
      headers.set("authorization", `Bearer ${outcome.accessToken}`);
      if (changed?.refreshToken) replaceCookie(headers, found, changed.refreshToken);
      return login(request, headers, {
        session: sessionOf(outcome.accessToken, () => refresh(outcome.accessToken)),
        setCookies,
        personal: true,
      });
    }
    if (outcome.unavailable && (outcome.status !== 429 || refresher.knows(found.value))) {
      const { status, retryAfter = 1000 } = outcome;
      const refusal =
        status === 429
          ? refuse(request, 429, "too_many_requests", "Too many requests: try again later", retryAfter)
          : refuse(request, 503, "temporarily_unavailable", "Try again in a moment", retryAfter);
      return login(request, headers, { refusal });
    }
    if (outcome.stale) {
      const tried = { ...found, name: found.name + TRIED };
      const mark = await digest(found.value);
      const again = /^(GET|HEAD)$/.test(request.method) && !headers.get("cookie")!.includes(`${tried.name}=${mark}`);
      if (again) {
        const { origin: here, pathname, search } = new URL(request.url);
        const location = `${from?.origin ?? here}${pathname}${search}`; // in full: Next.js refuses a relative one
        const refusal = new Response(null, { status: 307, headers: { location, "cache-control": "no-store" } });
        refusal.headers.append("set-cookie", setCookie(tried, mark, 60_000, cookie));
        return login(request, headers, { refusal });
      }
    }
    const clears = () =>
      outcome.stale || outcome.unavailable || !isNavigation(headers) || found.mayBeAnothers || Date.now() - began > CLEARS_WITHIN
        ? []
        : [setCookie(found, "", 0, cookie)];
    return login(request, headers, { session: sessionOf(undefined), setCookies: clears, personal: true });
  };

  return {
    processRequest,
    async handle(request, render, client) {
      const login = await processRequest(request, client);
      if (login.refusal) return login.refusal;
      return login.processResponse(await render(new Request(request, { headers: login.headers }), login.session));
    },
    session(headers) {
      const accessToken = headers.get("authorization")?.match(BEARER)?.[1];
      const found = cookieIn(headers, cookie);
      return sessionOf(accessToken, accessToken && found ? () => refresher.refresh(found.value, undefined, accessToken) : undefined);
    },
    async auth(request, client = {}) {
      note(request, client);
      const before = cookieIn(request.headers, cookie);
      if (before) refresher.forget(before.value);
      return forward(request, forwarding, cookie);
    },
  };

  interface Found {
    refusal?: Response;
    session?: ServerSession;
    setCookies?: () => string[];
    personal?: boolean;
    varies?: boolean;
  }

  function login(request: Request, headers: Headers, found: Found): Login {
    const { refusal, session = sessionOf(undefined), setCookies = () => [], personal = false, varies = true } = found;
    return {
      refusal,
      session,
      headers,
      processResponse(response) {
        const set = setCookies();
        return withHeaders(response, (theirs) => {
          for (const each of set) theirs.append("set-cookie", each);
          if (personal) keepFromCaches(theirs, set.length > 0, PARTS.test(request.headers.get("sec-fetch-dest") ?? ""));
          if (varies) addVary(theirs);
        });
      },
    };
  }
}

/** Return whether no page of another site caused a request, by `Sec-Fetch-Site`, or else by `Origin`. */
function isSameSite(headers: Headers, allowed: string[]): boolean {
  const origin = headers.get("origin");
  const site = headers.get("sec-fetch-site");
  if (origin !== null && allowed.includes(origin)) return true;
  if (site !== null) return site === "same-origin" || site === "none";
  return origin === null || parse(origin)?.host === headers.get("host"); // a server behind a proxy does not know its scheme
}

const isNavigation = (headers: Headers) => (headers.get("sec-fetch-mode") ?? "navigate") === "navigate";

/** Keep a personal response out of caches, unless the application says how long to keep it. */
function keepFromCaches(headers: Headers, sets: boolean, isPart: boolean): void {
  const said = (headers.get("cache-control") ?? "").split(",").map((each) => each.trim()).filter(Boolean);
  const shared = /^(public|s-maxage)\b/i;
  if (said.some((each) => shared.test(each)) && !sets) return;
  const words = said.filter((each) => !shared.test(each));
  const has = (...names: string[]) => words.some((each) => names.includes(each.split("=")[0]!.trim().toLowerCase()));
  if (!isPart && !has("max-age", "no-store")) words.push("no-store");
  else if (!has("private", "no-store")) words.push("private");
  headers.set("cache-control", words.join(", "));
}

function addVary(headers: Headers): void {
  const vary = headers.get("vary") ?? "";
  if (!/(^|,)\s*(cookie|\*)\s*(,|$)/i.test(vary)) headers.append("vary", "Cookie");
}

/** Change a response's headers, or those of a copy if they cannot be changed, as those of a redirect or of a `fetch`. */
function withHeaders<R extends Response>(response: R, change: (headers: Headers) => void): R {
  try {
    change(response.headers);
    return response;
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    const { body, status, statusText } = response;
    const headers = new Headers(response.headers);
    change(headers);
    return new Response(body, { status, statusText, headers }) as R;
  }
}

async function digest(text: string): Promise<string> {
  const bytes = new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text)));
  return Array.from(bytes.slice(0, 8), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function absolute(name: string, value: string): string {
  const url = parse(value);
  if (!url || !/^https?:$/.test(url.protocol)) {
    throw new TypeError(`${name}: ${JSON.stringify(value)}: expected a full URL such as 'http://127.0.0.1:8000/auth'`);
  }
  return url.href;
}

const page = (status: number, _code: string, message: string) =>
  `<!doctype html><html lang="en"><meta charset="utf-8"><title>${status}</title><p>${message}.</p></html>`;
