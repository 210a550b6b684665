/**
 * `daypass/verify`: verifies an issuer's access tokens in another service, in Node, Deno, Bun and edge runtimes. A check sends
 * no request: the issuer's keys are kept, and its endings are followed. The rules are those of `RemoteVerifier` in Python.
 */
import { compactVerify, decodeProtectedHeader } from "jose";
import { readObject } from "./json.ts";
import { refuseUnknown } from "./options.ts";
import { EVENT_TYPE, type EndingsOptions, type EndingsState, followEndings, readEnding } from "./verify_endings.ts";
import { AuthenticationInsufficient, ScopeInsufficient, SessionRevoked, TokenExpired, TokenMalformed, TokenMissing } from "./verify_errors.ts";
import { createGet } from "./verify_http.ts";
import { createKeys, isSecure } from "./verify_keys.ts";
import { type Watch, type WatchEnd, createWatches } from "./verify_watch.ts";
import { type AccessToken, covers, isAccessTokenHeader, readAccessToken } from "./verify_token.ts";

export type { EndingsOptions, EndingsState } from "./verify_endings.ts";
export {
  AuthenticationInsufficient,
  IssuerUnusable,
  KeysUnavailable,
  type Refusal,
  ScopeInsufficient,
  SessionRevoked,
  TokenExpired,
  TokenMalformed,
  TokenMissing,
  type VerifyError,
  refusal,
  refusalResponse,
} from "./verify_errors.ts";
export type { AccessToken } from "./verify_token.ts";
export type { Watch, WatchEnd } from "./verify_watch.ts";

export interface VerifierOptions {
  /** The URL that access tokens name as their issuer. */
  issuer: string;
  /** The audience of access tokens; default the issuer. */
  audience?: string;
  /** The URL of the keys; default from the issuer's metadata, or `/.well-known/jwks.json` below the issuer. */
  jwksUrl?: string;
  /** Allowed clock skew in milliseconds, at most a minute; default 0. */
  leeway?: number;
  /** Learn of ended sessions within a second; default false: their tokens are valid until they expire. */
  endings?: EndingsOptions | false;
  /** Called when `state` changes, with the reason if it is `cut_off`; default: writes problems to the console. */
  onState?: (state: EndingsState, reason?: string) => void;
  /** The function that sends requests; default `globalThis.fetch`, looked up at each request. */
  fetch?: typeof fetch;
}

/** The requirements for an access token. */
export interface Requirements {
  /** Words with spaces between them (RFC 6749 §3.3). */
  scope?: string;
  /** The maximum age of the authentication, in seconds (RFC 9470). */
  maxAge?: number;
  /** The accepted authentication context classes, with spaces between them. */
  acr?: string;
}

/** The headers of a request: `Headers`, or Node's object. */
export type RequestHeaders = Headers | Record<string, string | string[] | undefined>;

/** Verifies access tokens; one for the process. Its methods may be detached and passed around. */
export interface Verifier {
  /**
   * Return the contents of an access token.
   *
   * @throws TokenMalformed, TokenExpired or SessionRevoked: answer with 401.
   * @throws ScopeInsufficient or AuthenticationInsufficient if it does not meet the requirements.
   * @throws KeysUnavailable if nothing could be decided: answer with 503.
   */
  verify(accessToken: string, required?: Requirements): Promise<AccessToken>;
  /**
   * Return the contents of the access token of a request.
   *
   * @throws TokenMissing if the request has no token; otherwise as `verify`.
   */
  authenticate(headers: RequestHeaders, required?: Requirements): Promise<AccessToken>;
  /**
   * Watch an open connection, such as a WebSocket: `onEnd` is called once, when its session has ended or its access token
   * has expired and no newer one came. Close the connection then.
   *
   * @throws as `verify`.
   */
  watch(accessToken: string, onEnd: WatchEnd, required?: Requirements): Promise<Watch>;
  /** How it learns of ended sessions now. */
  readonly state: EndingsState;
  /** Stop following ended sessions, such as at the end of a program. */
  close(): void;
}

const LONGEST = 16_384;
const REMEMBERED = 10_000;
const CROWD = 1024;

/**
 * Make a verifier of access tokens. Nothing is fetched before the first token comes.
 *
 * @throws TypeError if an option is unknown or invalid; the message names it, and what to write.
 */
export function createVerifier(options: VerifierOptions): Verifier {
  const { issuer, audience = issuer, jwksUrl, leeway = 0, endings = false, onState = say, fetch, ...unknown } = options;
  refuseUnknown(unknown);
  checkURL("issuer", issuer);
  if (new URL(issuer).search) throw invalid("issuer", issuer, "a URL without '?'");
  if (typeof audience !== "string" || !audience) throw invalid("audience", audience, "text that is not empty");
  if (jwksUrl !== undefined) checkURL("jwksUrl", jwksUrl);
  if (!(leeway >= 0 && leeway <= 60_000)) throw invalid("leeway", leeway, "milliseconds, at most 60000");
  const following = endings && checkEndings(endings, issuer);

  let state: EndingsState = following ? "starting" : "off";
  let isFollowing = false;
  let epoch = 0;
  let everyoneUntil = -Infinity;
  let crowded = CROWD;
  const verified = new Map<string, AccessToken>();
  const ended = new Map<string, number>();
  const watches = createWatches(leeway);
  const over = new AbortController();
  const get = createGet((url, init) => (fetch ?? globalThis.fetch)(url, init));
  const forget = () => {
    verified.clear();
    epoch++;
  };
  const keys = createKeys(issuer, jwksUrl, get, forget);

  /** Return the claims of a signed text, once the keys that it may need are here. */
  const open = async (text: string, isRight: (header: { typ?: unknown }) => boolean): Promise<Record<string, unknown>> => {
    try {
      const header = decodeProtectedHeader(text);
      const { kid, alg } = header;
      if (typeof kid !== "string" || !isRight(header)) throw new TokenMalformed("not what was expected");
      if (!keys.find(kid)) await keys.renew();
      const known = keys.find(kid);
      if (!known || known.algorithm !== alg) throw new TokenMalformed("signed with a key that this issuer does not have");
      const { payload } = await compactVerify(text, known.key, { algorithms: [known.algorithm] });
      const claims = readObject(new TextDecoder("utf-8", { fatal: true }).decode(payload));
      if (claims && !Array.isArray(claims)) return claims;
    } catch (error) {
      if (error instanceof TokenMalformed || (error as { status?: number }).status === 503) throw error;
    }
    throw new TokenMalformed("not an access token");
  };

  const check = async (text: string): Promise<AccessToken> => {
    const known = verified.get(text);
    if (known) return known;
    if (typeof text !== "string" || text.length > LONGEST) throw new TokenMalformed("too long for an access token");
    const before = epoch;
    const token = readAccessToken(await open(text, isAccessTokenHeader), issuer, audience);
    if (before === epoch) {
      if (verified.size >= REMEMBERED) verified.delete(verified.keys().next().value!);
      verified.set(text, token);
    }
    return token;
  };

  const learn = async (event: string): Promise<void> => {
    const claims = await open(event, ({ typ }) => typ === EVENT_TYPE);
    const ending = readEnding(claims, issuer, (following as EndingsOptions).clientId);
    if (!ending) return;
    const { sessionId, endedAt, until } = ending;
    if (sessionId === undefined) everyoneUntil = Math.max(everyoneUntil, endedAt);
    else ended.set(sessionId, until + leeway);
    watches.endWhere(hasEnded);
    if (ended.size < crowded) return;
    for (const [each, last] of ended) if (last <= Date.now()) ended.delete(each);
    crowded = Math.max(CROWD, 2 * ended.size);
  };

  const hasEnded = ({ sessionId, actorSessionId, sessionStartedAt }: AccessToken) =>
    sessionStartedAt <= everyoneUntil || ended.has(sessionId) || ended.has(actorSessionId!);

  const become = (next: EndingsState, reason?: string) => {
    if (next === state) return;
    state = next;
    onState(next, reason);
  };

  const verifier: Verifier = {
    async verify(accessToken, required = {}) {
      if (following && !isFollowing && !over.signal.aborted) {
        isFollowing = true;
        void followEndings(get, following, learn, become, over.signal);
      }
      await keys.ready();
      const token = await check(accessToken);
      if (Date.now() >= token.expiresAt + leeway) {
        verified.delete(accessToken);
        throw new TokenExpired("the access token has expired");
      }
      if (hasEnded(token)) throw new SessionRevoked("the access token's session has ended");
      require(token, required);
      return token;
    },
    async authenticate(headers, required) {
      const [, text] = /^bearer +(\S+) *$/i.exec(authorizationOf(headers)) ?? [];
      if (!text) throw new TokenMissing("no access token was sent");
      return verifier.verify(text, required);
    },
    async watch(accessToken, onEnd, required) {
      const verify = (text: string) => verifier.verify(text, required);
      const watch = watches.add(await verify(accessToken), onEnd, verify);
      if (hasEnded(watch.token)) watches.endWhere(hasEnded); // since it was verified
      return watch;
    },
    get state() {
      return state;
    },
    close() {
      over.abort();
      if (following) state = "off";
    },
  };
  return verifier;
}

/** @throws ScopeInsufficient or AuthenticationInsufficient if a token does not meet the requirements. */
function require(token: AccessToken, { scope, maxAge, acr, ...unknown }: Requirements): void {
  refuseUnknown(unknown);
  if (scope && !covers(token.scope, scope)) throw new ScopeInsufficient(scope);
  const isOld = maxAge !== undefined && Date.now() - token.authTime > maxAge * 1000;
  if (isOld || (acr !== undefined && !acr.split(" ").includes(token.claims.acr as string))) {
    throw new AuthenticationInsufficient(maxAge, acr);
  }
}

function authorizationOf(headers: RequestHeaders): string {
  if (headers instanceof Headers) return headers.get("authorization") ?? "";
  const { authorization = "" } = headers;
  return typeof authorization === "string" ? authorization : "";
}

function checkEndings({ clientId, clientSecret, url, ...unknown }: EndingsOptions, issuer: string): Required<EndingsOptions> {
  refuseUnknown(unknown);
  if (!clientId || !clientSecret) throw new TypeError("endings: expected clientId and clientSecret: register this service at the issuer");
  const endpoint = url ?? `${issuer.replace(/\/+$/, "")}/auth/endings`;
  checkURL("endings.url", endpoint);
  return { clientId, clientSecret, url: endpoint };
}

function checkURL(name: string, url: string): void {
  if (!isSecure(url)) throw invalid(name, url, "an https URL such as 'https://api.example.com'; plain http only on loopback");
}

const invalid = (name: string, value: unknown, expected: string) => new TypeError(`${name}: ${JSON.stringify(value)}: expected ${expected}`);

function say(state: EndingsState, reason?: string): void {
  if (state === "cut_off") console.warn(`daypass: access tokens of ended sessions are good until they expire: ${reason}`);
  else if (state === "polling") console.warn("daypass: the issuer is served by threads: it is asked twice a second which sessions have ended");
}
