/** What an access token says, by RFC 9068; as the verifier in Python reads it. Pure. */
import { TokenMalformed } from "./verify_errors.ts";

/** The contents of a verified access token; times in milliseconds since the epoch. */
export interface AccessToken {
  /** The user (`sub`). */
  readonly subject: string;
  /** The session it was issued for (`sid`). */
  readonly sessionId: string;
  readonly clientId: string;
  readonly issuer: string;
  readonly audience: readonly string[];
  /** Its own identifier (`jti`). */
  readonly id: string;
  readonly issuedAt: number;
  readonly expiresAt: number;
  /** When its user was last authenticated. */
  readonly authTime: number;
  readonly sessionStartedAt: number;
  readonly username: string | null;
  readonly email: string | null;
  /** Its scope, words with spaces between them; `null` without one. */
  readonly scope: string | null;
  /** The subject who acts as the user (`act.sub`), `null` if it is the user. */
  readonly actor: string | null;
  /** The session of the actor; when it ends, the token is refused. */
  readonly actorSessionId: string | null;
  /** All claims of the token. */
  readonly claims: Readonly<Record<string, unknown>>;
}

/** Tell whether a token's header says that it is an access token, and nothing that has to be understood. */
export const isAccessTokenHeader = ({ typ, crit }: { typ?: unknown; crit?: unknown }): boolean =>
  crit === undefined && `${typ}`.toLowerCase().replace(/^application\//, "") === "at+jwt";

/**
 * Return the token that these claims make.
 *
 * @throws TokenMalformed if they are not complete, or of another issuer or for another audience.
 */
export function readAccessToken(claims: Record<string, unknown>, issuer: string, expected: string): AccessToken {
  const { iss, aud, sub, client_id, jti, sid, iat, exp, auth_time, sid_iat = auth_time, scope = null, act } = claims;
  const audience = [aud].flat();
  if (iss !== issuer || !audience.every(isText) || !audience.includes(expected)) {
    throw new TokenMalformed("an access token of another issuer or for another audience");
  }
  if (![sub, client_id, jti, sid].every(isText)) throw new TokenMalformed("an access token without a required claim");
  if ("nbf" in claims) throw new TokenMalformed("an access token with a claim that this issuer does not set");
  if (![iat, exp, auth_time, sid_iat].every((time) => Number.isSafeInteger(time) && (time as number) >= 0)) {
    throw new TokenMalformed("an access token without a required time");
  }
  if (scope !== null && !isText(scope)) throw new TokenMalformed("an access token whose scope is not text");
  const actor = Object(act) as Record<string, unknown>;
  return Object.freeze({
    subject: sub as string,
    sessionId: sid as string,
    clientId: client_id as string,
    issuer,
    audience: Object.freeze(audience as string[]),
    id: jti as string,
    issuedAt: (iat as number) * 1000,
    expiresAt: (exp as number) * 1000,
    authTime: (auth_time as number) * 1000,
    sessionStartedAt: (sid_iat as number) * 1000,
    username: text(claims.username),
    email: text(claims.email),
    scope,
    actor: text(actor.sub),
    actorSessionId: text(actor.sid),
    claims: freeze(claims),
  });
}

/** Tell whether every word of `wanted` is among those of `granted`. */
export function covers(granted: string | null, wanted: string): boolean {
  const words = new Set(granted?.split(" "));
  return wanted.split(" ").every((word) => words.has(word));
}

const isText = (value: unknown): value is string => typeof value === "string";

const text = (value: unknown): string | null => (isText(value) ? value : null);

function freeze<T>(value: T): T {
  if (Object(value) === value) Object.values(Object.freeze(value) as object).forEach(freeze);
  return value;
}
