import { type TokenOptions, accessToken } from "./access.ts";
import { type AxiosLike, createAdapter } from "./axios_adapter.ts";
import { type Core, createCore, currentUser } from "./core.ts";
import type { Credentials } from "./credentials.ts";
import type { Listener, SessionEvents } from "./events.ts";
import { type SessionFetch, createFetch } from "./fetch.ts";
import { inertSession } from "./inert.ts";
import { login } from "./login.ts";
import { type LogoutOptions, logout } from "./logout.ts";
import { type SessionOptions, readOptions } from "./options.ts";
import { refresh } from "./refresh.ts";
import { schedule } from "./schedule.ts";
import type { Snapshot, Status } from "./snapshot.ts";
import type { User } from "./user.ts";
import { unlessAborted } from "./waiting.ts";

/** One login, shared by all tabs. Its methods may be taken off and passed around. */
export interface Session {
  /** `fetch`, without expiry. */
  readonly fetch: SessionFetch;
  /** `unknown` until the server or another tab has answered for the first time. */
  readonly status: Status;
  /** Who is logged in, as far as is known; for display. The same object while the user's data are equal. */
  readonly user: User | null;
  /** Settles after the first attempt to restore a session, whatever its outcome. */
  readonly ready: Promise<User | null>;
  /** Aborted when this login ends or another user logs in; then there is a new one. Its reason is `LoginRequired`. */
  readonly signal: AbortSignal;
  /** Return `status`, `user` and `version` in one frozen object, the same one until something changes. */
  snapshot(): Snapshot;
  /** Call `listener` after each change of the snapshot; returns what stops it. */
  subscribe(listener: () => void): () => void;
  /** Return an access token, such as for a WebSocket. */
  token(options?: TokenOptions): Promise<string>;
  /** Send an axios instance's requests through this session; returns the instance. */
  axios<T extends AxiosLike>(instance: T): T;
  login(credentials: Credentials): Promise<User | null>;
  logout(options?: LogoutOptions): Promise<void>;
  /** Get a new access token now, such as after a login by other means; returns who is logged in. */
  refresh(): Promise<User | null>;
  /** Listen; returns what stops it. */
  on<N extends keyof SessionEvents>(name: N, listener: Listener<N>): () => void;
  /** Let go of timers, listeners and other tabs; nobody is logged out. What waits ends with `SessionClosed`. */
  close(): void;
}

/**
 * Make the session of this page; a session from before it was loaded comes back by itself.
 *
 * Outside a browser, such as while a page is rendered on a server, it does nothing: nobody is known, and `fetch` sends
 * requests as they are.
 *
 * @throws TypeError if an option is unknown or invalid.
 */
export function createSession(options: SessionOptions = {}): Session {
  const read = readOptions(options);
  return read.live ? liveSession(createCore(read)) : inertSession(read);
}

function liveSession(core: Core): Session {
  const unlessClosed = <T>(work: () => Promise<T>): Promise<T> =>
    core.closing.aborted ? Promise.reject(core.closing.reason) : unlessAborted(work(), core.closing);
  const renew = async () => {
    await refresh(core);
    return currentUser(core);
  };
  schedule(core);
  const ready = new Promise<User | null>((known) => {
    core.changed.add(() => (core.at || !core.refreshing) && known(currentUser(core)));
    core.closing.addEventListener("abort", () => known(null));
  });
  // the beginning of time: whatever another tab knows is newer
  if (core.restore) void refresh(core);
  else core.settle({ at: 1 }, true);
  return {
    fetch: (core.own = createFetch(core) as typeof fetch),
    get status() {
      return core.shown.snapshot.status;
    },
    get user() {
      return currentUser(core);
    },
    get signal() {
      return core.shown.signal;
    },
    ready,
    snapshot: () => core.shown.snapshot,
    subscribe: (listener) => core.on("change", () => listener()),
    token: (options) => unlessClosed(() => accessToken(core, options)),
    axios(instance) {
      instance.defaults.adapter = createAdapter(core, instance);
      return instance;
    },
    login: (credentials) => unlessClosed(() => login(core, credentials)),
    logout: (options) => unlessClosed(() => logout(core, options)),
    refresh: () => unlessClosed(renew),
    on: core.on,
    close: core.close,
  };
}
