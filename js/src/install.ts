import type { SessionOptions } from "./core.ts";
import { type Session, createSession } from "./session.ts";

/**
 * Have all that calls `fetch` on this page go through a session, for its origins alone; `close` puts back what was
 * there before.
 */
export function installFetch(options: SessionOptions = {}): Session {
  const before = globalThis.fetch;
  const session = createSession(options);
  const close = session.close;
  globalThis.fetch = session.fetch;
  session.close = () => {
    if (globalThis.fetch === session.fetch) globalThis.fetch = before;
    close();
  };
  return session;
}
