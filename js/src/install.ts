import { LoginRequired } from "./errors.ts";
import type { SessionOptions } from "./options.ts";
import { type Session, createSession } from "./session.ts";

/**
 * Send every `fetch` of this page through a session, for its origins alone; `close` puts back what was there before.
 *
 * Existing code knows no `LoginRequired`: it gets the 401 that it would have got without a session.
 */
export function installFetch(options: SessionOptions = {}): Session {
  const before = globalThis.fetch;
  const session = createSession({ fetch: before, ...options });
  const { close } = session;
  const installed: typeof fetch = async (input, init) => {
    try {
      return await session.fetch(input, init);
    } catch (error) {
      if (error instanceof LoginRequired) return (error.response ?? new Response(null, { status: 401 })) as Response;
      throw error;
    }
  };
  globalThis.fetch = installed;
  session.close = () => {
    if (globalThis.fetch === installed) globalThis.fetch = before;
    close();
  };
  return session;
}
