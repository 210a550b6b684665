import { type AxiosLike, createAdapter } from "./axios.ts";
import { type SessionOptions, createCore } from "./core.ts";
import type { Listener, SessionEvents } from "./events.ts";
import { createFetch } from "./fetch.ts";
import { type Credentials, login } from "./login.ts";
import { logout } from "./logout.ts";
import { refresh } from "./refresh.ts";
import { schedule } from "./schedule.ts";
import type { User } from "./user.ts";

/** One login, shared by all tabs. */
export interface Session {
  /** `fetch`, and nobody sees an expiry. It may be taken off and passed around. */
  readonly fetch: typeof fetch;
  /** Who is logged in, as far as is known; for display. */
  readonly user: User | null;
  /** Settled once it is known whether a session from before goes on; waits for as long as the server cannot say. */
  readonly ready: Promise<User | null>;
  /** Have an axios instance send its requests through this session; returns it. */
  axios<T extends AxiosLike>(instance: T): T;
  login(credentials: Credentials): Promise<User | null>;
  logout(): Promise<void>;
  /** Get a new access token now, after a login by other means; returns who is logged in. */
  refresh(): Promise<User | null>;
  /** Listen; returns what stops it. */
  on<N extends keyof SessionEvents>(name: N, listener: Listener<N>): () => void;
  /** Let go of timers, listeners and other tabs; nobody is logged out by it. */
  close(): void;
}

/**
 * Make the session of this page; a session from before it was loaded comes back by itself.
 *
 * @throws TypeError where an option is no URL.
 */
export function createSession(options: SessionOptions = {}): Session {
  const core = createCore(options);
  const unschedule = schedule(core);
  const user = () => core.held?.user ?? null;
  const renew = async () => {
    await refresh(core);
    return user();
  };
  const ready = new Promise<User | null>((known) => {
    core.changed.add(() => core.at && known(user()));
  });
  if (options.restore === false) core.settle({ at: core.tick() });
  else void renew();
  return {
    fetch: createFetch(core),
    get user() {
      return user();
    },
    ready,
    axios(instance) {
      instance.defaults.adapter = createAdapter(core, instance);
      return instance;
    },
    login: (credentials) => login(core, credentials),
    logout: () => logout(core),
    refresh: renew,
    on: core.on,
    close() {
      unschedule();
      core.close();
    },
  };
}
