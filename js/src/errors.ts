/** What this module throws. `code` tells the errors apart; no message holds a token. */
abstract class Failure extends Error {
  abstract readonly code: string;
}

/** Nobody is logged in (any more), or somebody else is: show the login. */
export class LoginRequired extends Failure {
  override readonly name = "LoginRequired";
  readonly code = "login_required";
  /** The answer that showed it, if there was one: a `Response`, or what axios made of it. */
  declare readonly response: unknown;

  constructor(reason: string, response?: unknown) {
    super(`Login required: ${reason || "nobody is logged in"}`);
    this.response = response;
  }
}

/** The access token has expired and the server cannot be asked for a new one now; the session is kept. */
export class RefreshUnavailable extends Failure {
  override readonly name = "RefreshUnavailable";
  readonly code = "refresh_unavailable";
  /** Milliseconds after which it makes sense to try again, if known. */
  declare readonly retryAfter: number | undefined;

  constructor(reason: string, retryAfter?: number) {
    super(reason);
    this.retryAfter = retryAfter;
  }
}

/** The name or the password is wrong; no session was started. */
export class CredentialsRejected extends Failure {
  override readonly name = "CredentialsRejected";
  readonly code = "credentials_rejected";

  constructor() {
    super("Wrong credentials");
  }
}

/** The server refused the login request, whatever the credentials. */
export class LoginRefused extends Failure {
  override readonly name = "LoginRefused";
  readonly code = "login_refused";
  /** What the server called the reason, such as `insecure_transport`. */
  declare readonly reason: string | undefined;

  constructor(message: string, reason?: string) {
    super(message);
    this.reason = reason;
  }
}

/** The login succeeded, but the browser did not keep the cookie, so the user would be logged out at the next refresh. */
export class CookieRejected extends Failure {
  override readonly name = "CookieRejected";
  readonly code = "cookie_rejected";
}

/** `close()` was called on this session. */
export class SessionClosed extends Failure {
  override readonly name = "SessionClosed";
  readonly code = "session_closed";

  constructor() {
    super("This session is closed: make a new one");
  }
}

/** Every error of this module: `switch (error.code)` narrows. */
export type DaypassErrors =
  | LoginRequired
  | RefreshUnavailable
  | CredentialsRejected
  | LoginRefused
  | CookieRejected
  | SessionClosed;

export type DaypassError = DaypassErrors;

interface ErrorClass extends Function {
  readonly prototype: DaypassErrors;
}

/** The class of all of them; `error instanceof DaypassError` narrows to the union. */
export const DaypassError: ErrorClass = Failure as never;
