/** Who is logged in, by the claims of the access token; for display, never for decisions: it is not verified here. */
export interface User {
  subject: string;
  username: string | null;
  email: string | null;
  claims: Record<string, unknown>;
}

/** Read the claims of an access token; `{}` where it is no JWT. */
export function readClaims(token: string): Record<string, unknown> {
  try {
    const bytes = atob(token.split(".")[1]!.replace(/-/g, "+").replace(/_/g, "/"));
    return JSON.parse(decodeURIComponent(escape(bytes))); // the shortest way from bytes to UTF-8
  } catch {
    return {};
  }
}

/** Tell whose access token it is; `null` where it does not say. */
export function readUser(token: string): User | null {
  const claims = readClaims(token) as { sub?: string; username?: string; email?: string };
  const { sub, username = null, email = null } = claims;
  return sub ? { subject: sub, username, email, claims } : null;
}
