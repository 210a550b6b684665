/** Why an access token was refused, and how a request is answered then (RFC 6750 §3, RFC 9470 §3). */

/** The errors of a verifier. Distinguish them by `code`; no message contains a token. */
abstract class Failure extends Error {
  abstract readonly code: string;
  /** The HTTP status of the response. */
  abstract readonly status: number;
}

/** The request has no access token. */
export class TokenMissing extends Failure {
  override readonly name = "TokenMissing";
  readonly code = "token_missing";
  readonly status = 401;
}

/** It is not an access token of this issuer for this audience. */
export class TokenMalformed extends Failure {
  override readonly name = "TokenMalformed";
  readonly code = "token_malformed";
  readonly status = 401;
}

export class TokenExpired extends Failure {
  override readonly name = "TokenExpired";
  readonly code = "token_expired";
  readonly status = 401;
}

/** Its session has ended. */
export class SessionRevoked extends Failure {
  override readonly name = "SessionRevoked";
  readonly code = "session_revoked";
  readonly status = 401;
}

/** The token is valid, but its user has to be authenticated again, or in a stronger way. */
export class AuthenticationInsufficient extends Failure {
  override readonly name = "AuthenticationInsufficient";
  readonly code = "insufficient_user_authentication";
  readonly status = 401;
  /** Seconds. */
  readonly maxAge: number | undefined;
  readonly acr: string | undefined;

  constructor(maxAge: number | undefined, acr: string | undefined) {
    super(acr === undefined ? "a more recent authentication is required" : "a different authentication level is required");
    this.maxAge = maxAge;
    this.acr = acr;
  }
}

/** The token is valid, but its scope does not allow this. */
export class ScopeInsufficient extends Failure {
  override readonly name = "ScopeInsufficient";
  readonly code = "insufficient_scope";
  readonly status = 403;
  /** The required scope. */
  readonly scope: string;

  constructor(scope: string) {
    super("the access token's scope does not allow this");
    this.scope = scope;
  }
}

/** The key of the token is not known, and the issuer cannot be reached; nothing was decided. */
export class KeysUnavailable extends Failure {
  override readonly name = "KeysUnavailable";
  readonly code = "temporarily_unavailable";
  readonly status = 503;
}

/** The issuer publishes unusable data: another issuer's metadata, or no public keys. */
export class IssuerUnusable extends Failure {
  override readonly name = "IssuerUnusable";
  readonly code = "issuer_unusable";
  readonly status = 503;
}

/** Every error of a verifier: `switch (error.code)` narrows. */
export type VerifyError =
  | TokenMissing
  | TokenMalformed
  | TokenExpired
  | SessionRevoked
  | AuthenticationInsufficient
  | ScopeInsufficient
  | KeysUnavailable
  | IssuerUnusable;

/** The response to a request whose access token is refused. */
export interface Refusal {
  status: number;
  headers: Record<string, string>;
  body: { error: string; message: string };
}

const REALM = 'Bearer realm="daypass"';

/**
 * Return the response to a request for which `verify` or `authenticate` has thrown this.
 *
 * @throws the error itself if it is not one of a verifier.
 */
export function refusal(error: unknown): Refusal {
  if (!(error instanceof Failure)) throw error;
  const failure = error as VerifyError;
  const { status, message } = failure;
  const answer = (error: string, message: string, headers: Record<string, string>): Refusal => ({
    status,
    headers: { "cache-control": "no-store", ...headers },
    body: { error, message },
  });
  if (status === 503) return answer("temporarily_unavailable", "Try again in a moment", { "retry-after": "1" });
  if (failure instanceof ScopeInsufficient) {
    return answer(failure.code, message, { "www-authenticate": `${REALM}, error="${failure.code}", scope="${failure.scope}"` });
  }
  if (failure instanceof AuthenticationInsufficient) {
    const { code, maxAge, acr } = failure;
    const needed = (maxAge === undefined ? "" : `, max_age="${maxAge}"`) + (acr === undefined ? "" : `, acr_values="${acr}"`);
    return answer(code, message, { "www-authenticate": `${REALM}, error="${code}", error_description="${message}"${needed}` });
  }
  const why = failure instanceof TokenMissing ? "" : `, error="invalid_token", error_description="${message}"`;
  return answer("invalid_token", "Authentication failed", { "www-authenticate": `${REALM}${why}` });
}

/** Return the same as a `Response`, for servers that answer with one. */
export function refusalResponse(error: unknown): Response {
  const { status, headers, body } = refusal(error);
  return Response.json(body, { status, headers });
}
