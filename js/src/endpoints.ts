/**
 * Requests to the session endpoints, their responses, and what these mean.
 *
 * Only the issuer's own word ends a session: a 401 (or a 400 `invalid_grant`) whose body is a JSON object or empty,
 * and which does not ask for other schemes than Bearer. Proxies, gateways and captive portals answer with 400, 401 and
 * 403 too, and know nothing about the session.
 */
import type { Core } from "./core.ts";
import { type JsonObject, readObject } from "./json.ts";
import { LONGEST_RETRY_AFTER } from "./timing.ts";
import { readClaims } from "./user.ts";

/** The result of a login or a refresh. `lifetime` is in milliseconds, `undefined` if unknown. */
export interface Grant {
  accessToken: string;
  lifetime: number | undefined;
  /** Milliseconds until the session ends without use, if the server says. */
  ends?: number | undefined;
}

/** The outcome of a refresh. If it was `unavailable`, nothing is known about the session. */
export interface Outcome {
  grant?: Grant;
  /** Why the session has ended: the server said so. */
  reason?: string;
  unavailable?: string;
  /** The server's code for the reason. */
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
 * Send a request to an endpoint, with the cookie. It never fails.
 *
 * @param limit milliseconds for the whole request.
 */
export async function ask(core: Core, path: string, limit: number, content?: string, sent = {}): Promise<Answer> {
  try {
    const answer = await core.send(`${core.url}/${path}`, {
      method: "POST",
      credentials: "include",
      keepalive: true, // the response's cookie is set even if the page is closed meanwhile
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

/** Return whether it can be sent in a header: visible ASCII. */
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

/** Read `Retry-After`, seconds or a date; a date is compared with the response's own `Date`, if it has one. */
function readRetryAfter(headers: Headers): number | undefined {
  const after = headers.get("retry-after") ?? "";
  const now = Date.parse(headers.get("date") ?? "") || Date.now();
  return span(+after) ?? span((Date.parse(after) - now) / 1000);
}

/** Return whether a new access token may help after a 401 with this challenge; without a challenge it may (RFC 6750 §3.1). */
export const refreshingCanHelp = (challenge: string | null | undefined): boolean =>
  isBearers(challenge) && !challenge?.includes("insufficient_scope");

const isBearers = (challenge: string | null | undefined) => !challenge || /(^|,)\s*(bearer|dpop)\b/i.test(challenge);

const span = (seconds: unknown) => (typeof seconds === "number" && seconds > 0 ? seconds * 1000 : undefined);
