/** The session where there is no browser: on a server that renders pages, or in a page that no server can know. */
import { RefreshUnavailable } from "./errors.ts";
import type { Options } from "./options.ts";
import type { Session } from "./session.ts";
import { UNKNOWN } from "./snapshot.ts";

/** Make a session that knows nobody, holds nothing, and sends nothing by itself. */
export function inertSession({ fetch }: Options): Session {
  const refuse = async () => {
    throw new RefreshUnavailable("There is no session outside of a web page");
  };
  const stop = () => {};
  return {
    fetch: async (input, init) => (fetch ?? globalThis.fetch)(input, init),
    status: UNKNOWN.status,
    user: null,
    ready: Promise.resolve(null),
    signal: new AbortController().signal,
    snapshot: () => UNKNOWN,
    subscribe: () => stop,
    token: refuse,
    axios: (instance) => instance,
    login: refuse,
    logout: refuse,
    refresh: async () => null,
    on: () => stop,
    close: stop,
  };
}
