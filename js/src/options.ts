import { AHEAD } from "./timing.ts";

export interface SessionOptions {
  /** Where the session endpoints are; default `/auth`. */
  url?: string;
  /** Origins that get the access token, besides that of `url`, such as `https://api.example.com`. */
  origins?: readonly string[];
  /** Whether to restore the session from before the page was loaded, at once; default true. */
  restore?: boolean;
  /** The last share of its lifetime in which an access token is refreshed before it expires; default 0.2. */
  ahead?: number;
  /** The function that sends requests; default `globalThis.fetch`, looked up at each request. */
  fetch?: typeof fetch;
  /** Count input in any tab, instead of requests, as activity of the user. */
  idle?: {
    /** Milliseconds without any input after which the user is logged out; if missing, only the server decides. */
    after?: number;
  };
  /**
   * Whether the session is bound to a key of this browser that no script can read (DPoP); default false. The issuer needs
   * `dpop=True`, and the page HTTPS.
   */
  dpop?: boolean;
  /** Milliseconds before the end of the session at which `ending` is fired; default 120000. */
  warnBefore?: number;
  /**
   * Decide whether a response means that the access token was refused: true refreshes and sends the request again, false
   * does not, undefined applies the default rule (a 401 whose challenge, if any, is Bearer). It gets the `Response`,
   * or axios's: `clone()` it before you read its body.
   */
  shouldRefresh?: (response: any) => boolean | undefined | Promise<boolean | undefined>;
}

export interface Options extends Required<Omit<SessionOptions, "fetch" | "idle" | "origins" | "shouldRefresh" | "warnBefore">> {
  fetch: SessionOptions["fetch"];
  idle: SessionOptions["idle"];
  warnBefore: SessionOptions["warnBefore"];
  shouldRefresh: SessionOptions["shouldRefresh"];
  /** The origins that get the access token; none outside a page. */
  covered: string[];
  /** Whether there is a server that this page can reach. */
  live: boolean;
}

/**
 * Check the options.
 *
 * @throws TypeError if an option is unknown or invalid; the message names it, and what to write.
 */
export function readOptions(given: SessionOptions): Options {
  const { url = "/auth", origins = [], restore = true, ahead = AHEAD, dpop = false, warnBefore, idle, fetch, shouldRefresh, ...unknown } = given;
  refuseUnknown(unknown);
  if (!(ahead >= 0 && ahead < 1)) refuse("ahead", ahead, AHEAD);
  const asked = parse(url, baseURL());
  const { href, origin } = asked ?? parse(url, "http://localhost") ?? refuse("url", url, "/auth");
  const covered = origins.map((each) => {
    const parsed = parse(each);
    return isHTTP(parsed) ? parsed!.origin : refuse("origins", each, "https://api.example.com");
  });
  const live = !!globalThis.location && isHTTP(asked);
  const rest = { restore, ahead, dpop, warnBefore, idle, fetch, shouldRefresh };
  return { url: href.replace(/\/+$/, ""), covered: live ? [origin, ...covered] : [], live, ...rest };
}

/** Refuse the rest of an options object after the known options were taken out. */
export function refuseUnknown(unknown: object): void {
  for (const name in unknown) throw new TypeError(`unknown option '${name}'`);
}

/** The base of relative URLs; a worker has no document. */
export const baseURL = (): string => globalThis.document?.baseURI ?? globalThis.location?.href;

export function parse(url: string | URL, base?: string): URL | undefined {
  try {
    return new URL(url, base);
  } catch {
    return undefined;
  }
}

const isHTTP = (url: URL | undefined) => /^https?:/.test(url?.protocol!);

export function refuse(name: string, value: unknown, example: unknown): never {
  throw new TypeError(`${name}: ${JSON.stringify(value)}: expected a value such as ${example}`);
}
