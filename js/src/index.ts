export type { TokenOptions } from "./access.ts";
export type { Credentials } from "./credentials.ts";
export {
  CookieRejected,
  CredentialsRejected,
  DaypassError,
  type DaypassErrors,
  LoginRefused,
  LoginRequired,
  RefreshUnavailable,
  SessionClosed,
} from "./errors.ts";
export type { Listener, SessionEvents } from "./events.ts";
export type { SessionFetch, SessionRequestInit } from "./fetch.ts";
export { installFetch } from "./install.ts";
export type { LogoutOptions } from "./logout.ts";
export type { SessionOptions } from "./options.ts";
export type { Exchange, Seen } from "./replay.ts";
export { type Session, createSession } from "./session.ts";
export type { Snapshot, Status } from "./snapshot.ts";
export type { User } from "./user.ts";
