/** What this module throws. `code` tells the errors apart; no message holds a token. */
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

/** Nobody is logged in (any more), or somebody else is: show the login. */
export class LoginRequired extends Failure {
  declare readonly name: "LoginRequired";
  declare readonly code: "login_required";
  static {
    this.named("LoginRequired");
  }
  /** The answer that showed it, if there was one: a `Response`, or what axios made of it. */
  declare readonly response: unknown;
}

/** The access token has expired and the server cannot be asked for a new one now; the session is kept. */
export class RefreshUnavailable extends Failure {
  declare readonly name: "RefreshUnavailable";
  declare readonly code: "refresh_unavailable";
  static {
    this.named("RefreshUnavailable");
  }
  /** Milliseconds after which it makes sense to try again, if known. */
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

/** The server refused the login request, whatever the credentials. */
export class LoginRefused extends Failure {
  declare readonly name: "LoginRefused";
  declare readonly code: "login_refused";
  static {
    this.named("LoginRefused");
  }
  /** What the server called the reason, such as `insecure_transport`. */
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

/** The user has to confirm who they are (RFC 9470), and has not: nobody listens to `stepUp`, or it was cancelled. */
export class StepUpRequired extends Failure {
  declare readonly name: "StepUpRequired";
  declare readonly code: "step_up_required";
  static {
    this.named("StepUpRequired");
  }
  /** The answer that asked for it. */
  declare readonly response: unknown;
  /** Milliseconds that the last authentication may be old, if that is what was wanted. */
  declare readonly maxAge: number | undefined;
  /** The kinds of authentication of which one is wanted, by preference, if the server named any. */
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

/** Say that a login is required, and why. */
export const loginRequired = (reason: string, response?: unknown): LoginRequired =>
  new LoginRequired(`Login required: ${reason || "nobody is logged in"}`, { response });
