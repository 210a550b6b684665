/** What tabs of one origin post to each other: each change, and that refreshing has to pause. */
import type { Core } from "./core.ts";
import type { Change } from "./state.ts";

type Message = (Change & { sent: number }) | { ask: number } | { rest: number };

export interface Tabs {
  post(message: Change | { rest: number }): void;
  /** Ask the others whether they know something newer. */
  ask(): void;
  /** Ask, and wait until another tab has answered, at most so many milliseconds. */
  news(wait: number): Promise<void>;
}

/** Join the other tabs. */
export function joinTabs(core: Core): Tabs {
  const channel = new BroadcastChannel(core.label);
  let answered = () => {};
  const ask = () => channel.postMessage({ ask: core.at });
  const post = (message: Change | { rest: number }) => channel.postMessage({ ...message, sent: Date.now() });
  channel.onmessage = ({ data }: MessageEvent<Message>) => {
    if ("ask" in data) {
      const { at, token, reason } = core;
      const grant = token && { accessToken: token.accessToken, lifetime: token.lifetime };
      if (at > data.ask) post({ at, grant, age: token?.age(), reason });
      return;
    }
    if ("rest" in data) core.pause(data.rest);
    // the age at sending, and how long the message was under way: a tab may have been frozen
    else core.settle({ ...data, age: (data.age ?? 0) + Math.max(0, Date.now() - data.sent) }, true);
    answered();
  };
  core.closing.addEventListener("abort", () => channel.close());
  return {
    post,
    ask,
    news: (wait) =>
      new Promise((go) => {
        answered = go;
        setTimeout(go, wait);
        ask();
      }),
  };
}
