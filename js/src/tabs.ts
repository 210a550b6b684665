/** What tabs of one origin tell each other: each change, and that refreshing has to rest. */
import type { Core } from "./core.ts";
import type { Change } from "./state.ts";

type Message = (Change & { sent: number }) | { ask: number } | { rest: number };

export interface Tabs {
  tell(message: Change | { rest: number }): void;
  /** Ask the others whether they know something newer. */
  ask(): void;
  /** Ask, and wait until they have said something, at most so many milliseconds. */
  news(wait: number): Promise<void>;
  close(): void;
}

/** Join the other tabs. */
export function joinTabs(core: Core): Tabs {
  const channel = new BroadcastChannel(core.label);
  let heard = () => {};
  const ask = () => channel.postMessage({ ask: core.at });
  const tell = (message: Change | { rest: number }) => channel.postMessage({ ...message, sent: Date.now() });
  channel.onmessage = ({ data }: MessageEvent<Message>) => {
    if ("ask" in data) {
      const { at, held, reason } = core;
      const grant = held && { accessToken: held.accessToken, lifetime: held.lifetime };
      if (at > data.ask) tell({ at, grant, age: held?.age(), reason });
      return;
    }
    if ("rest" in data) core.rest(data.rest);
    // the age at sending, and how long the message was under way: a tab may have been frozen
    else core.settle({ ...data, age: (data.age ?? 0) + Math.max(0, Date.now() - data.sent) }, true);
    heard();
  };
  return {
    tell,
    ask,
    news: (wait) =>
      new Promise((go) => {
        heard = go;
        setTimeout(go, wait);
        ask();
      }),
    close: () => channel.close(),
  };
}
