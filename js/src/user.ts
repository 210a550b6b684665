import { readObject } from "./json.ts";

/** The user, by the claims of the access token; for display, never for decisions: it is not verified here. */
export interface User {
  readonly subject: string;
  readonly username: string | null;
  readonly email: string | null;
  /** The access token's claims, without those that change with each token: `exp`, `iat`, `nbf`, `jti`. */
  readonly claims: Readonly<Record<string, unknown>>;
}

/** Read the claims of an access token; `{}` if it is not a JWT. */
export function readClaims(token: string): Record<string, unknown> {
  try {
    const bytes = atob(token.split(".")[1]!.replace(/-/g, "+").replace(/_/g, "/"));
    return readObject(decodeURIComponent(escape(bytes))) ?? {}; // the shortest way from bytes to UTF-8
  } catch {
    return {};
  }
}

/** Read the user of an access token; `null` if it does not say. */
export function readUser(token: string): User | null {
  const { exp, iat, nbf, jti, ...claims } = readClaims(token);
  const { sub, username = null, email = null } = claims as { sub?: string; username?: string; email?: string };
  return sub ? Object.freeze({ subject: sub, username, email, claims: Object.freeze(claims) }) : null;
}
