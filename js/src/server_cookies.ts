/** The cookie with the refresh token, as a server in front of the session endpoints reads and renews it. */
const DAY = 86_400_000;
/** Browsers keep no cookie longer (RFC 6265bis §5.5). */
const LONGEST = 400 * DAY;
const SECURE = "__Host-";
const DEFAULT = "daypass";

export interface CookieOptions {
  name: string | undefined;
  sameSite: "Lax" | "Strict";
  /** The port of the session endpoints: over plain HTTP it is part of the name. */
  port: string;
}

export interface FoundCookie {
  name: string;
  value: string;
  /** Whether an application on another port may have set it. */
  mayBeAnothers: boolean;
}

/** Return the names that the cookie may have, the likeliest first. */
export function cookieNames({ name, port }: CookieOptions, host: string | null): string[] {
  if (name) return [SECURE + name, name];
  const ports = [port, host?.match(/:(\d+)$/)?.[1]].filter(Boolean);
  return [SECURE + DEFAULT, ...ports.map((each) => `${DEFAULT}-${each}`), DEFAULT];
}

/** Find the refresh token in a request's headers. */
export function cookieIn(headers: Headers, options: CookieOptions): FoundCookie | undefined {
  const values = readCookies(headers);
  for (const name of cookieNames(options, headers.get("host"))) {
    const value = values.get(name);
    if (value) return { name, value, mayBeAnothers: name === DEFAULT };
  }
  return undefined;
}

/**
 * Return the `Set-Cookie` that renews or, with a lifetime of 0, removes a cookie under the name that the browser has.
 *
 * @param lifetime milliseconds, or `null` if the browser forgets it when it is closed.
 */
export function setCookie({ name }: { name: string }, value: string, lifetime: number | null, { sameSite }: CookieOptions): string {
  const age = lifetime === null ? "" : `; Max-Age=${Math.floor(Math.min(lifetime, LONGEST) / 1000)}`;
  return `${name}=${value}; Path=/${age}; HttpOnly${name.startsWith(SECURE) ? "; Secure" : ""}; SameSite=${sameSite}`;
}

/** Put a new value into a request's `Cookie` header; the other cookies stay as they are. */
export function replaceCookie(headers: Headers, { name }: FoundCookie, value: string): void {
  const pairs = headers.get("cookie")!.split(";");
  const isIt = (pair: string) => pair.split("=")[0]!.trim() === name;
  headers.set("cookie", pairs.map((pair) => (isIt(pair) ? `${name}=${value}` : pair.trim())).join("; "));
}

/** Return the cookies of a request that belong to the session, as one `Cookie` header; `undefined` if there are none. */
export function ownCookies(headers: Headers, options: CookieOptions): string | undefined {
  const values = readCookies(headers);
  const names = cookieNames(options, headers.get("host")).filter((name) => values.has(name));
  return names.map((name) => `${name}=${values.get(name)}`).join("; ") || undefined;
}

function readCookies(headers: Headers): Map<string, string> {
  const values = new Map<string, string>();
  for (const pair of (headers.get("cookie") ?? "").split(";")) {
    const at = pair.indexOf("=");
    const name = pair.slice(0, at).replace(/^[ \t]+|[ \t]+$/g, ""); // only these separate cookies (RFC 6265 §5.2)
    const value = pair.slice(at + 1).trim().replace(/^"|"$/g, "");
    if (at > 0 && /^[!#-+\--:<-[\]-~]{1,4096}$/.test(value) && !values.has(name)) values.set(name, value);
  }
  return values;
}
