/** Passes requests for the session endpoints on, with only the headers that they need. */
import { type CookieOptions, ownCookies } from "./server_cookies.ts";

export interface ForwardOptions {
  url: string;
  mount: string;
  from: URL | undefined;
  address: (request: Request) => string | undefined;
  send: typeof fetch;
}

const ASKED = ["accept", "authorization", "content-type", "if-none-match", "origin", "sec-fetch-dest", "sec-fetch-mode"];
const MORE = ["sec-fetch-site", "user-agent", "access-control-request-headers", "access-control-request-method"];
const ANSWERED = ["allow", "cache-control", "clear-site-data", "content-type", "daypass-grace", "etag", "retry-after"];
const CORS = ["access-control-allow-credentials", "access-control-allow-headers", "access-control-allow-methods"];
const MORE_CORS = ["access-control-allow-origin", "access-control-expose-headers", "access-control-max-age"];
const SECURITY = ["vary", "www-authenticate", "x-content-type-options"];
const TIMEOUT = 30_000;
const LONGEST_BODY = 65_536;

/** Return the headers with the client's address and origin; the endpoints trust them if this server is one of their proxies. */
export function aboutClient(request: Request | undefined, { from, address }: ForwardOptions): Record<string, string> {
  const client = request && address(request);
  const agent = request?.headers.get("user-agent");
  return {
    ...(from && { "x-forwarded-proto": from.protocol.slice(0, -1), "x-forwarded-host": from.host }),
    ...(client && /^[\da-f.:]+$/i.test(client) && { "x-forwarded-for": client }),
    ...(agent && { "user-agent": agent }),
  };
}

export async function forward(request: Request, options: ForwardOptions, cookie: CookieOptions): Promise<Response> {
  const { pathname, search } = new URL(request.url);
  const { url, mount, send } = options;
  const path = pathname.startsWith(`${mount}/`) ? pathname.slice(mount.length) : undefined;
  if (!path || !/^\/[\w.-]+(\/[\w-]+)?$/.test(path) || path.includes("..")) return failure(404, "not_found", "Not found");
  const headers = new Headers(aboutClient(request, options));
  for (const name of [...ASKED, ...MORE]) {
    const value = request.headers.get(name);
    if (value !== null) headers.set(name, value);
  }
  const cookies = ownCookies(request.headers, cookie);
  if (cookies) headers.set("cookie", cookies);
  if (Number(request.headers.get("content-length")) > LONGEST_BODY) {
    return failure(413, "content_too_large", `The body is too large: send at most ${LONGEST_BODY} bytes`);
  }
  const body = /^(GET|HEAD|OPTIONS)$/.test(request.method) ? null : await request.arrayBuffer();
  try {
    const init: RequestInit = { method: request.method, headers, body, redirect: "manual", cache: "no-store" };
    const response = await send(url + path + search, { ...init, signal: AbortSignal.timeout(TIMEOUT) });
    const given = new Headers();
    for (const name of [...ANSWERED, ...CORS, ...MORE_CORS, ...SECURITY]) {
      const value = response.headers.get(name);
      if (value !== null) given.set(name, value);
    }
    for (const each of response.headers.getSetCookie()) given.append("set-cookie", each);
    const { status } = response;
    return new Response(status === 204 || status === 304 ? null : response.body, { status, headers: given });
  } catch {
    return failure(503, "temporarily_unavailable", "Try again in a moment", { "retry-after": "1" });
  }
}

function failure(status: number, error: string, message: string, more?: Record<string, string>): Response {
  return Response.json({ message, error }, { status, headers: { "cache-control": "no-store", ...more } });
}
