/** What the operations of one session share. */
import { type Events, createEvents } from "./events.ts";
import { type State, createState } from "./state.ts";
import { type Tabs, joinTabs } from "./tabs.ts";
import { AHEAD } from "./timing.ts";
import type { Outcome } from "./wire.ts";

export interface SessionOptions {
  /** Where the session endpoints are; `/auth` unless told otherwise. */
  url?: string;
  /** Origins that get the access token besides that of `url`, such as `https://api.example.com`. */
  origins?: readonly string[];
  /** Whether to look, now, for a session from before the page was loaded; yes unless told otherwise. */
  restore?: boolean;
  /** The last share of its lifetime in which an access token is refreshed ahead of expiry; 0.2 unless told otherwise. */
  ahead?: number;
  /** What sends requests; `globalThis.fetch` as it is now unless told otherwise. */
  fetch?: typeof fetch;
}

export interface Core extends Tabs, Events, State {
  url: string;
  /** Of the lock, the channel and the note of an unfinished logout. */
  label: string;
  native: typeof fetch;
  /** Return a URL in full, without its fragment, where its origin gets the token, else `undefined`. */
  cover(url: string | URL): string | undefined;
  /** The refresh under way, if any; it never fails. */
  flight?: Promise<Outcome | undefined> | undefined;
  /** What to do when something has changed. */
  changed: Set<() => void>;
  /** Failed refreshes in a row. */
  failures: number;
  /** Let nobody refresh for so many milliseconds; 0 lets anybody, again. */
  rest(milliseconds: number): void;
  /** Return for how many milliseconds more nobody refreshes. */
  resting(): number;
}

/**
 * @throws TypeError where `url` or one of `origins` is no URL.
 */
export function createCore({ url: given = "/auth", origins = [], ahead = AHEAD, fetch }: SessionOptions): Core {
  const base = globalThis.document?.baseURI;
  const url = new URL(given, base).href.replace(/\/+$/, "");
  const covered = [url, ...origins].map((each) => new URL(each).origin);
  const changed = new Set<() => void>();
  const events = createEvents();
  let until = 0;
  const core: Core = Object.assign(createState(ahead, events, (change) => {
    changed.forEach((each) => each());
    if (change) core.tell(change);
  }), events, {
    url,
    label: `daypass ${url}`,
    native: fetch ?? globalThis.fetch.bind(globalThis),
    changed,
    failures: 0,
    cover(url: string | URL) {
      try {
        const { href, origin } = new URL(url, base);
        return covered.includes(origin) ? href.split("#")[0] : undefined;
      } catch {
        return undefined; // no URL: the error is for the browser's own fetch to tell
      }
    },
    rest(milliseconds: number) {
      until = performance.now() + milliseconds;
    },
    resting: () => Math.max(0, until - performance.now()),
  }) as unknown as Core;
  return Object.assign(core, joinTabs(core));
}
