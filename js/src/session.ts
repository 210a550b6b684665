import { type TokenOptions, accessToken } from "./access.ts";
import { type Core, createCore, noteUser } from "./core.ts";
import type { Confirmation, Credentials } from "./credentials.ts";
import { RefreshUnavailable } from "./errors.ts";
import type { Listener, SessionEvents } from "./events.ts";
import type { EventStream, EventStreamOptions } from "./eventsource.ts";
import { type SessionFetch, createFetch } from "./fetch.ts";
import { type LogoutOptions, logout } from "./logout.ts";
import { type SessionOptions, readOptions } from "./options.ts";
import { ending, login, openEvents, openSocket, schedule, stepUp } from "./parts.ts";
import { refresh } from "./refresh.ts";
import { type Exchange, exchange } from "./replay.ts";
import type { SessionSocket, SocketOptions } from "./socket.ts";
import type { Snapshot, Status } from "./snapshot.ts";
import { joinTabs } from "./tabs.ts";
import type { User } from "./user.ts";
import { unlessAborted } from "./waiting.ts";

/** One login, shared by all tabs. Its methods may be detached and passed around. */
export interface Session {
  /** `fetch`, without expiry. */
  readonly fetch: SessionFetch;
  /** `unknown` until the server or another tab has answered for the first time. */
  readonly status: Status;
  /** The user who is logged in, or `null`; for display. The same object while the user's data are equal. */
  readonly user: User | null;
  /** Settles after the first attempt to restore a session, whatever its outcome. */
  readonly ready: Promise<User | null>;
  /** Aborted when this login ends or another user logs in; then there is a new one. Its reason is `LoginRequired`. */
  readonly signal: AbortSignal;
  /** Aborted by `close`. Its reason is `SessionClosed`. */
  readonly closed: AbortSignal;
  /** Return `status`, `user` and `version` in one frozen object, the same one until something changes. */
  snapshot(): Snapshot;
  /** Call `listener` after each change of the snapshot; returns a function that stops it. */
  subscribe(listener: () => void): () => void;
  /** Return an access token, such as for a WebSocket. */
  token(options?: TokenOptions): Promise<string>;
  login(credentials: Credentials): Promise<User | null>;
  logout(options?: LogoutOptions): Promise<void>;
  /** Get a new access token now, such as after a login by other means; returns the user, or `null`. */
  refresh(): Promise<User | null>;
  /**
   * Keep the session alive: the user is active. Return how many milliseconds it lasts now, `Infinity` if that is not
   * known. A session at the end of its absolute lifetime cannot be extended.
   */
  extend(): Promise<number>;
  /**
   * Confirm who the user is, by their password, when `stepUp` was fired; waiting requests are sent again.
   *
   * @throws CredentialsRejected if the password is wrong; requests continue to wait.
   */
  confirm(confirmation: Confirmation): Promise<User | null>;
  /** Send one request with another HTTP library; `fetch` and `daypass/axios` use it. */
  exchange<R>(asked: Exchange<R>): Promise<R>;
  /** Open a WebSocket that lasts as long as this login, and reconnects. */
  socket(url: string | URL, options?: SocketOptions): Promise<SessionSocket>;
  /** Read server-sent events for as long as this login lasts: an `EventSource` that sends the access token. */
  events(url: string | URL, options?: EventStreamOptions): Promise<EventStream>;
  /** Listen to an event; returns a function that stops it. */
  on<N extends keyof SessionEvents>(name: N, listener: Listener<N>): () => void;
  /** Stop timers and listeners, without a logout. Waiting calls end with `SessionClosed`. */
  close(): void;
}

/**
 * Make the session of this page; a session from before the page was loaded is restored.
 *
 * Outside a browser, such as while a page is rendered on a server, it does nothing: there is no user, `fetch` sends
 * requests unchanged, and calls that need a session throw `RefreshUnavailable`. In a worker it starts when first used.
 *
 * @throws TypeError if an option is unknown or invalid.
 */
export function createSession(options: SessionOptions = {}): Session {
  const core = createCore(readOptions(options));
  const unlessClosed =
    <A extends unknown[], T>(work: (core: Core, ...rest: A) => Promise<T>) =>
    async (...rest: A): Promise<T> => {
      core.closing.throwIfAborted();
      return unlessAborted(work(core, ...rest), core.closing);
    };
  let ready: Promise<User | null> | undefined;
  const session: Session = {
    fetch: createFetch(core),
    get status() {
      return core.snapshot.status;
    },
    get user() {
      return core.snapshot.user;
    },
    get signal() {
      return core.login.over;
    },
    get ready() {
      return (ready ??= unlessClosed(async () => core.at || renew(core))()
        .catch(() => {})
        .then(() => core.snapshot.user));
    },
    closed: core.closing,
    snapshot: () => core.snapshot,
    subscribe: (listener) => session.on("change", listener),
    token: unlessClosed(accessToken),
    login: unlessClosed(login),
    logout: unlessClosed(logout),
    refresh: unlessClosed(renew),
    extend: unlessClosed((core) => ending(core, "extend")),
    confirm: unlessClosed((core, confirmation) => stepUp(core, "confirm", confirmation)),
    exchange: (asked) => exchange(core, asked),
    socket: unlessClosed(openSocket),
    events: unlessClosed(openEvents),
    on(name, listener) {
      if (!core.live) return () => {}; // each page that a server renders would leave a listener
      void ({ ending, stepUp } as { [other in typeof name]?: (core: Core) => unknown })[name]?.(core);
      return core.on(name, listener);
    },
    close: () => core.close(),
  };
  core.session = session;
  core.refresh = () => refresh(core);
  if (!core.live) core.close(new RefreshUnavailable("No session outside a page"));
  else {
    joinTabs(core);
    schedule(core).catch(() => {}); // then only requests refresh
    // the oldest time: every state of another tab is newer
    if (!core.restore) core.settle({ at: 1 }, true);
    else if (globalThis.document) void session.ready;
  }
  return session;
}

async function renew(core: Core): Promise<User | null> {
  noteUser(core);
  await refresh(core);
  return core.snapshot.user;
}
