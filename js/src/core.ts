/** What the operations of one session share. */
import type { Outcome } from "./endpoints.ts";
import { type DaypassErrors, SessionClosed } from "./errors.ts";
import { type Events, createEvents } from "./events.ts";
import { type Options, baseURL, parse } from "./options.ts";
import { prove } from "./parts.ts";
import type { Session } from "./session.ts";
import { type State, createState } from "./state.ts";
import type { Tabs } from "./tabs.ts";
import { ATTEMPT } from "./timing.ts";

export interface Core extends Options, Tabs, Events, State {
  /** The name of the lock, of the channel, and of the note of an unfinished logout. */
  label: string;
  /** Send a request as the page would. */
  send: typeof fetch;
  /** What the page has. */
  session: Session;
  /** Return a URL in full, without its fragment, if its origin gets the token, else `undefined`. */
  cover(url: string | URL): string | undefined;
  /** Refresh, or wait for the refresh under way. */
  refresh(): Promise<Outcome | undefined>;
  /** The refresh under way, if any; it never fails. */
  refreshing?: Promise<Outcome | undefined> | undefined;
  /** Plan the next refresh again, because something has changed. */
  plan(): void;
  /** Failed refreshes in a row. */
  failures: number;
  /** Milliseconds that one request of a refresh may take. */
  attempt: number;
  /** Do not refresh for this many milliseconds; 0 ends the pause. */
  pause(milliseconds: number): void;
  /** Return milliseconds until a refresh is allowed; below 0 if it is. */
  paused(): number;
  /** Aborted by `close`. */
  closing: AbortSignal;
  /** End waiting calls with this error, and change nothing afterwards. */
  close(reason?: DaypassErrors): void;
}

export function createCore(options: Options): Core {
  const { url, covered, ahead, fetch } = options;
  const events = createEvents();
  const closing = new AbortController();
  const native = globalThis.fetch;
  let until = 0;
  const state = createState(ahead, events.emit, (change) => {
    core.plan();
    if (change) core.post(change);
  });
  const core = Object.assign(state, events, options, {
    label: `daypass ${url}`,
    plan() {},
    failures: 0,
    attempt: ATTEMPT,
    closing: closing.signal,
    close(reason = new SessionClosed("This session is closed: make a new one")) {
      core.at = Infinity; // no change is newer
      closing.abort(reason);
      core.plan();
    },
    send(input: RequestInfo | URL, init?: RequestInit) {
      const now = globalThis.fetch;
      const plain = fetch ?? (now === core.session.fetch ? native : now);
      return core.dpop ? prove(core, plain, input, init) : plain.call(globalThis, input, init);
    },
    cover(url: string | URL) {
      const { href, origin } = parse(url, baseURL()) ?? {};
      return covered.includes(origin!) ? href!.split("#")[0] : undefined;
    },
    pause(milliseconds: number) {
      until = performance.now() + milliseconds;
    },
    paused: () => until - performance.now(),
  }) as unknown as Core;
  return core;
}

/** Listen to an event of the page, or of the worker, until the session is closed. */
export const listen = ({ closing }: Core, type: string, listener: (event: Event) => void): void =>
  globalThis.addEventListener?.(type, listener, { signal: closing });

/** The header of requests that no user has caused: they do not keep a session alive. */
export const PASSIVE = "x-daypass-passive";

/** Note that the user is active; in every tab, because any of them may refresh next. */
export function noteUser({ token, post }: Core): void {
  if (!token || token.active) return;
  token.active = true;
  post({ active: true });
}
