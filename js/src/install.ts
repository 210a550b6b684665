/** `daypass/install`: every `fetch` of a page, without expiry. */
import { LoginRequired, type Session, type SessionOptions, StepUpRequired, createSession } from "./index.ts";

/**
 * Send every `fetch` of this page to the session's origins through it; `close` puts the original `fetch` back.
 *
 * Existing code does not know `LoginRequired` and `StepUpRequired`: it gets the 401, as without a session.
 */
export function installFetch(options: SessionOptions = {}): Session {
  const before = globalThis.fetch;
  const session = createSession({ fetch: before, ...options });
  const { close } = session;
  const installed: typeof fetch = async (input, init) => {
    try {
      return await session.fetch(input, init);
    } catch (error) {
      const known = error instanceof LoginRequired || error instanceof StepUpRequired;
      if (known) return (error.response ?? new Response(null, { status: 401 })) as Response;
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
