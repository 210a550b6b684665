export type { TokenOptions } from "./access.ts";
export type { Confirmation, Credentials } from "./credentials.ts";
export {
  CookieRejected,
  CredentialsRejected,
  DaypassError,
  type DaypassErrors,
  LoginRefused,
  LoginRequired,
  RefreshUnavailable,
  SessionClosed,
  StepUpRequired,
} from "./errors.ts";
export type { Listener, SessionEvents } from "./events.ts";
export type { EventStream, EventStreamOptions, StreamEvents } from "./eventsource.ts";
export type { SessionFetch, SessionRequestInit } from "./fetch.ts";
export type { LogoutOptions } from "./logout.ts";
export type { SessionOptions } from "./options.ts";
export type { Exchange, Seen } from "./replay.ts";
export { type Session, createSession } from "./session.ts";
export type { Snapshot, Status } from "./snapshot.ts";
export type { SessionSocket, SocketData, SocketEvents, SocketOptions } from "./socket.ts";
export type { SocketClose } from "./socket_wire.ts";
export type { User } from "./user.ts";
