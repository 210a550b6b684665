/** The messages between tabs of one origin: each change, and pauses of refreshing. */
import { type Core, listen } from "./core.ts";
import { isAccessToken } from "./endpoints.ts";
import type { Change } from "./state.ts";
import { LONGEST_RETRY_AFTER } from "./timing.ts";

/** The version of the messages. Tabs may run different versions of this module; a message without a number is of version 1. */
const VERSION = 1;

/** A time by any clock that a browser may have (before the year 33658). */
const LATEST = 1e15;

export interface Tabs {
  post(message: Change | { rest: number } | { active: true }): void;
  /** Ask the other tabs for a newer state. */
  ask(): void;
  /** Ask, and wait until another tab has answered, at most this many milliseconds. */
  news(wait: number): Promise<void>;
}

/** Join the other tabs. If there is no channel, as with blocked cookies in Firefox, this tab works alone. */
export function joinTabs(core: Core): void {
  let channel: BroadcastChannel | undefined;
  let answered = () => {};
  const post = (message: Change | { rest: number } | { active: true } | { ask: number }) =>
    channel?.postMessage({ ...message, sent: Date.now() });
  const ask = () => post({ ask: core.at });
  const receive = ({ data }: MessageEvent) => {
    const message = Object(data);
    const { version = VERSION, ask, rest, sent, active } = message;
    if (version !== VERSION) return;
    if (active === true && core.token) core.token.active = true;
    if (isBetween(ask, LATEST)) {
      const { at, token, grant, reason } = core;
      if (at > ask && (grant || reason)) post({ at, grant, age: token?.age(), reason, passive: true });
      return;
    }
    if (isBetween(rest, LONGEST_RETRY_AFTER)) core.pause(rest);
    else if (isChange(message)) {
      // its age when sent, and the time of the message: a tab may have been frozen
      core.settle({ ...message, age: (message.age ?? 0) + Math.max(0, Date.now() - sent) }, true);
    } else return;
    answered();
  };
  const join = (away?: unknown) => {
    channel?.close();
    channel = undefined;
    if (away) return;
    try {
      channel = new BroadcastChannel(core.label);
      channel.onmessage = receive;
    } catch {} // none, or not for this page
  };
  join();
  // a page with an open channel is not kept for the Back button
  listen(core, "pagehide", join);
  listen(core, "pageshow", () => join());
  core.closing.addEventListener("abort", join);
  Object.assign(core, {
    post,
    ask,
    news: (wait: number) =>
      new Promise<void>((go) => {
        answered = go;
        setTimeout(go, channel ? wait : 0);
        ask();
      }),
  });
}

const isBetween = (value: unknown, most: number) => typeof value === "number" && value >= 0 && value <= most;

/** Return whether a message is a change of this version; its age, if any, is that of a token. */
function isChange({ at, grant, age = 0, reason, sent }: Change & { sent: unknown }): boolean | "" | undefined {
  const { accessToken, lifetime = 1, ends = 1 } = Object(grant);
  const known = grant ? isAccessToken(accessToken) : reason && typeof reason === "string";
  return known && [at, age, lifetime, ends, sent].every((each) => isBetween(each, LATEST));
}
