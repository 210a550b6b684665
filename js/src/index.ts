export type { AxiosLike } from "./axios.ts";
export type { SessionOptions } from "./core.ts";
export { CredentialsRejected, DaypassError, LoginRequired, RefreshUnavailable } from "./errors.ts";
export type { Listener, SessionEvents } from "./events.ts";
export { installFetch } from "./install.ts";
export type { Credentials } from "./login.ts";
export { type Session, createSession } from "./session.ts";
export type { User } from "./user.ts";
