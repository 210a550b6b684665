/** The root of what this module throws: `switch (error.name)` tells them apart. No message holds a token. */
export class DaypassError extends Error {
  /** What the server called the reason, such as `insecure_transport`, where it did. */
  readonly code: string | undefined;

  constructor(message: string, name = "DaypassError", code?: string) {
    super(message);
    this.name = name;
    this.code = code;
  }
}

/** The session is over and refreshing cannot help any more: show the login. */
export class LoginRequired extends DaypassError {
  constructor(reason: string) {
    super(`Log in: ${reason || "somebody else has"}`, "LoginRequired");
  }
}

/** The access token is dead and no new one can be had right now; the session may well be alive. */
export class RefreshUnavailable extends DaypassError {
  /** Milliseconds after which it makes sense to try again, where known. */
  readonly retryAfter: number | undefined;

  constructor(reason: string, retryAfter?: number) {
    super(reason, "RefreshUnavailable");
    this.retryAfter = retryAfter;
  }
}

/** The name or the password is wrong; no session was started. */
export class CredentialsRejected extends DaypassError {
  constructor() {
    super("Wrong credentials", "CredentialsRejected");
  }
}
