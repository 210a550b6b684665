/** What the operations of one session share. */
import type { Outcome } from "./endpoints.ts";
import { type DaypassErrors, SessionClosed } from "./errors.ts";
import { type Events, createEvents } from "./events.ts";
import { type Options, baseURL, parse } from "./options.ts";
import { type State, createState } from "./state.ts";
import { type Tabs, joinTabs } from "./tabs.ts";
import { ATTEMPT } from "./timing.ts";
import type { Token } from "./token.ts";

/** Refreshes in a row after which a URL went on to refuse the token. */
export interface Refusals {
  times: number;
  /** The last token that was refreshed because of it. */
  token: Token;
  /** When the next one may be, by `performance.now()`. */
  until: number;
}

export interface Core extends Options, Tabs, Events, State {
  /** The name of the lock, of the channel, and of the note of an unfinished logout. */
  label: string;
  /** Send a request as the page would. */
  send: typeof fetch;
  /** What `send` must not call, because it is the session's own. */
  own?: typeof fetch;
  /** Return a URL in full, without its fragment, if its origin gets the token, else `undefined`. */
  cover(url: string | URL): string | undefined;
  /** The refresh under way, if any; it never fails. */
  refreshing?: Promise<Outcome | undefined> | undefined;
  /** What to do when something has changed. */
  changed: Set<() => void>;
  /** Failed refreshes in a row. */
  failures: number;
  /** Milliseconds that one request of a refresh may take. */
  attempt: number;
  /** Refreshes that did not help, by the URL that refused the token. */
  refusals: Map<string, Refusals>;
  /** Do not refresh for so many milliseconds; 0 ends the pause. */
  pause(milliseconds: number): void;
  /** Return for how many milliseconds more there is no refresh. */
  paused(): number;
  /** Aborted by `close`. */
  closing: AbortSignal;
  /** End what waits, with this error, and change nothing any more. */
  close(reason?: DaypassErrors): void;
}

export function createCore(options: Options): Core {
  const { url, covered, ahead, fetch, live } = options;
  const changed = new Set<() => void>();
  const events = createEvents();
  const closing = new AbortController();
  const native = globalThis.fetch;
  let until = 0;
  const state = createState(ahead, events.emit, (change) => {
    changed.forEach((each) => each());
    if (change) core.post(change);
  });
  const core = Object.assign(state, events, options, {
    label: `daypass ${url}`,
    changed,
    failures: 0,
    attempt: ATTEMPT,
    refusals: new Map(),
    closing: closing.signal,
    close(reason = new SessionClosed()) {
      core.at = Infinity; // no change is later
      closing.abort(reason);
    },
    send(input: RequestInfo | URL, init?: RequestInit) {
      const now = globalThis.fetch;
      return (fetch ?? (now === core.own ? native : now)).call(globalThis, input, init);
    },
    cover(url: string | URL) {
      if (!live) return undefined;
      const { href, origin } = parse(url, baseURL()) ?? {};
      return covered.includes(origin!) ? href!.split("#")[0] : undefined;
    },
    pause(milliseconds: number) {
      until = performance.now() + milliseconds;
    },
    paused: () => Math.max(0, until - performance.now()),
  }) as unknown as Core;
  return Object.assign(core, joinTabs(core));
}

/** Who is logged in, as far as is known. */
export const currentUser = (core: Core) => core.shown.snapshot.user;

