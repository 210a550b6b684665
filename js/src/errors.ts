/** The errors of this module. Distinguish them by `code`; no message contains a token. */
abstract class Failure extends Error {
  abstract readonly code: string;

  constructor(message: string, details?: object) {
    super(message);
    Object.assign(this, details);
  }

  /** Give a class its name and its code; minified classes have none. */
  protected static named(name: string): void {
    Object.assign(this.prototype, { name, code: name.replace(/\B[A-Z]/g, "_$&").toLowerCase() });
  }
}

/** Nobody is logged in, the session has ended, or another user has logged in: show the login. */
export class LoginRequired extends Failure {
  declare readonly name: "LoginRequired";
  declare readonly code: "login_required";
  static {
    this.named("LoginRequired");
  }
  /** The response that said so, if there was one: a `Response`, or axios's. */
  declare readonly response: unknown;
}

/** The access token has expired and the server cannot be reached for a new one; the session is kept. */
export class RefreshUnavailable extends Failure {
  declare readonly name: "RefreshUnavailable";
  declare readonly code: "refresh_unavailable";
  static {
    this.named("RefreshUnavailable");
  }
  /** Milliseconds to wait before a retry, if known. */
  declare readonly retryAfter: number | undefined;
}

/** The name or the password is wrong; no session was started. */
export class CredentialsRejected extends Failure {
  declare readonly name: "CredentialsRejected";
  declare readonly code: "credentials_rejected";
  static {
    this.named("CredentialsRejected");
  }
}

/** The server refused the login request; the credentials were not checked. */
export class LoginRefused extends Failure {
  declare readonly name: "LoginRefused";
  declare readonly code: "login_refused";
  static {
    this.named("LoginRefused");
  }
  /** The server's code for the reason, such as `insecure_transport`. */
  declare readonly reason: string | undefined;
}

/** The login succeeded, but the browser did not keep the cookie, so the user would be logged out at the next refresh. */
export class CookieRejected extends Failure {
  declare readonly name: "CookieRejected";
  declare readonly code: "cookie_rejected";
  static {
    this.named("CookieRejected");
  }
}

/** The user has to confirm who they are (RFC 9470), and did not: there is no listener for `stepUp`, or it was cancelled. */
export class StepUpRequired extends Failure {
  declare readonly name: "StepUpRequired";
  declare readonly code: "step_up_required";
  static {
    this.named("StepUpRequired");
  }
  /** The response that required it. */
  declare readonly response: unknown;
  /** The maximum age of the last authentication in milliseconds, if that was required. */
  declare readonly maxAge: number | undefined;
  /** The accepted kinds of authentication, the best first, if the server named any. */
  declare readonly acrValues: readonly string[] | undefined;
}

/** `close()` was called on this session. */
export class SessionClosed extends Failure {
  declare readonly name: "SessionClosed";
  declare readonly code: "session_closed";
  static {
    this.named("SessionClosed");
  }
}

/** Every error of this module: `switch (error.code)` narrows. */
export type DaypassErrors =
  | LoginRequired
  | RefreshUnavailable
  | CredentialsRejected
  | LoginRefused
  | CookieRejected
  | StepUpRequired
  | SessionClosed;

export type DaypassError = DaypassErrors;

interface ErrorClass extends Function {
  readonly prototype: DaypassErrors;
}

/** The class of all of them; `error instanceof DaypassError` narrows to the union. */
export const DaypassError: ErrorClass = Failure as never;

/** Return the error that a login is required, with the reason. */
export const loginRequired = (reason: string, response?: unknown): LoginRequired =>
  new LoginRequired(`Login required: ${reason || "nobody is logged in"}`, { response });
