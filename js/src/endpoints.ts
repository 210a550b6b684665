/**
 * What is asked of the session endpoints, what they answer, and what that means.
 *
 * Only the issuer's own word ends a session: a 401 (or a 400 `invalid_grant`) whose body is a JSON object or empty,
 * and which does not ask for other schemes than Bearer. Proxies, gateways and captive portals answer with 400, 401 and
 * 403 too, and know nothing about the session.
 */
import type { Core } from "./core.ts";
import { type JsonObject, readObject } from "./json.ts";
import { LONGEST_RETRY_AFTER } from "./timing.ts";
import { readClaims } from "./user.ts";

/** What a login or a refresh gave. `lifetime` is in milliseconds, `undefined` if unknown. */
export interface Grant {
  accessToken: string;
  lifetime: number | undefined;
  /** Milliseconds until the session ends if nobody uses it, where the server says so. */
  ends?: number | undefined;
}

/** The outcome of a refresh. If it was `unavailable`, nothing is known about the session. */
export interface Outcome {
  grant?: Grant;
  /** Why the session is over: the server said so. */
  reason?: string;
  unavailable?: string;
  /** What the server called the reason why it was unavailable. */
  code?: string | undefined;
  /** What the server says about it, in words. */
  message?: string | undefined;
  /** Milliseconds. */
  retryAfter?: number | undefined;
}

/** An endpoint's answer, `said` in words; the status is 0 if there was none, `body` undefined if it is not a JSON object. */
export interface Answer {
  status: number;
  body?: JsonObject | undefined;
  said: string;
  headers: Headers;
}

/**
 * Ask an endpoint; the browser sends the cookie along. It never fails.
 *
 * @param limit milliseconds for the whole of it.
 */
export async function ask(core: Core, path: string, limit: number, content?: string, sent = {}): Promise<Answer> {
  try {
    const answer = await core.send(`${core.url}/${path}`, {
      method: "POST",
      credentials: "include",
      keepalive: true, // what it does to the cookie is done even if the page goes away meanwhile
      signal: AbortSignal.timeout(Math.ceil(limit)),
      headers: sent,
      body: content ? new Blob([content], { type: "application/json" }) : null,
    });
    const { status, headers } = answer;
    return { status, headers, body: readObject(await answer.text()), said: `${path}: HTTP ${status}` };
  } catch (error) {
    return { status: 0, headers: new Headers(), said: `${path}: ${(error as Error).name}` };
  }
}

/** Read a successful answer of login or refresh; `undefined` if there is no token in it. */
export function readGrant(body: JsonObject | undefined): Grant | undefined {
  const accessToken = body?.accessToken;
  if (!isAccessToken(accessToken)) return undefined;
  const { exp, iat } = readClaims(accessToken);
  return { accessToken, lifetime: span(body?.expiresIn) ?? span((exp as number) - (iat as number)), ends: span(body?.refreshExpiresIn) };
}

/** Tell whether it can be sent in a header: plain visible ASCII. */
export const isAccessToken = (text: unknown): text is string => typeof text === "string" && /^[!-~]+$/.test(text);

/** Return what an answer to a refresh means. */
export function judge({ status, body, headers, said }: Answer): Outcome {
  const grant = status < 300 && readGrant(body);
  if (grant) return { grant };
  const ends = status === 400 ? /^invalid_(grant|token)$/.test(body?.error as string) : status === 401 && body;
  if (ends && isBearers(headers.get("www-authenticate"))) return { reason: said };
  const retryAfter = readRetryAfter(headers);
  const { error: code, message } = (body ?? {}) as Record<string, string>;
  return { unavailable: said, code, message, retryAfter: retryAfter && Math.min(retryAfter, LONGEST_RETRY_AFTER) };
}

/** Read `Retry-After`, seconds or a date, which is by the server's own clock if the answer says what that is. */
function readRetryAfter(headers: Headers): number | undefined {
  const after = headers.get("retry-after") ?? "";
  const now = Date.parse(headers.get("date") ?? "") || Date.now();
  return span(+after) ?? span((Date.parse(after) - now) / 1000);
}

/** Tell from a 401's challenge whether a new access token may help; without a challenge it may (RFC 6750 §3.1). */
export const refreshingCanHelp = (challenge: string | null | undefined): boolean =>
  isBearers(challenge) && !challenge?.includes("insufficient_scope");

const isBearers = (challenge: string | null | undefined) => !challenge || /(^|,)\s*(bearer|dpop)\b/i.test(challenge);

const span = (seconds: unknown) => (typeof seconds === "number" && seconds > 0 ? seconds * 1000 : undefined);
