/**
 * Sessions bound to a key (DPoP, RFC 9449): loaded where the option `dpop` is set.
 *
 * Whatever is sent goes through here. The requests to the session endpoints, and those with an access token that is bound,
 * get a proof each, also those that are sent again. An answer that asks for a nonce gets it, once.
 */
import type { Core } from "./core.ts";
import { type Key, type Keys, createKeys, digest, sign } from "./dpop_keys.ts";
import { LoginRequired, RefreshUnavailable, type Session } from "./index.ts";
import { readObject } from "./json.ts";
import { baseURL } from "./options.ts";
import { readClaims } from "./user.ts";

/** Why the session has ended if its key is gone. */
const KEY_LOST = "key lost";

interface Bound {
  keys: Keys;
  /** The last one of each origin. */
  nonces: Map<string, string>;
}

/** The headers that carry an access token. */
export interface TokenHeaders extends Record<string, string> {
  authorization: string;
}

const known = new WeakMap<Session, Bound>();

/** @internal Return the keys of a session. */
export function boundOf(core: Core): Bound {
  const bound = known.get(core.session) ?? { keys: createKeys(core.label), nonces: new Map() };
  known.set(core.session, bound);
  return bound;
}

/**
 * Return the headers for one request that the session does not send itself, such as an `XMLHttpRequest`: the access token,
 * and a proof if it is bound to a key. Each request needs new ones.
 *
 * @param url of the request; of a WebSocket, `https:` instead of `wss:`.
 * @param accessToken if it is known already; else the session's.
 * @throws LoginRequired if nobody is logged in, or the key is gone.
 * @throws RefreshUnavailable if the token has expired and there cannot be a new one now.
 */
export async function headersFor(session: Session, method: string, url: string | URL, accessToken?: string): Promise<TokenHeaders> {
  const token = accessToken ?? (await session.token());
  const thumbprint = boundTo(token);
  if (!thumbprint) return { authorization: `Bearer ${token}` };
  const bound = known.get(session);
  if (!bound) throw new RefreshUnavailable("The session is still starting: try again");
  const key = await bound.keys.find(thumbprint);
  if (thumbprint !== key.thumbprint) throw new LoginRequired(`Login required: ${KEY_LOST}`);
  return (await signed(bound, key, method, new URL(url, baseURL()), token)) as TokenHeaders;
}

async function signed({ nonces }: Bound, key: Key, method: string, { origin, pathname }: URL, token?: string) {
  const ath = token && (await digest(token));
  const dpop = await sign(key, { htm: method, htu: origin + pathname, nonce: nonces.get(origin), ath });
  return { dpop, ...(token && { authorization: `DPoP ${token}` }) };
}

/**
 * Send a request with a proof, if it needs one.
 *
 * @param plain sends it.
 * @returns the answer; 400 `dpop_unavailable` if the browser or the server cannot bind sessions.
 * @throws LoginRequired if the key of its access token is gone.
 */
const prove = async (core: Core, plain: typeof fetch, input: RequestInfo | URL, init?: RequestInit): Promise<Response> => {
  const url = core.cover((input as Request).url ?? input);
  const path = url?.startsWith(`${core.url}/`) && /^(login|refresh|confirm|logout)(?![^?])/.exec(url.slice(core.url.length + 1))?.[1];
  const token = new Headers(init?.headers ?? (input as Request).headers).get("authorization")?.replace(/^Bearer /, "");
  const thumbprint = token && boundTo(token);
  if (!url || !(path || thumbprint)) return plain.call(globalThis, input, init);
  if (!globalThis.crypto?.subtle) return unavailable("The option dpop needs HTTPS");
  const bound = boundOf(core);
  const request = new Request(input, init);
  const send = (key: Key) => sendBy(bound, key, request, token, (proven) => plain.call(globalThis, proven, again(init)));
  const key = await bound.keys.find(thumbprint);
  if (thumbprint && thumbprint !== key.thumbprint) throw lost(core);
  const answer = await send(key);
  return path ? judge(core, bound.keys, path, key, answer, send) : answer;
};
export default prove;

/** What a `Request` does not keep of the options that it was made with. */
const again = ({ signal, referrer, referrerPolicy }: RequestInit = {}) => ({ signal, referrer, referrerPolicy }) as RequestInit;

async function sendBy(
  bound: Bound,
  key: Key,
  request: Request,
  token: string | undefined,
  send: (proven: Request) => Promise<Response>,
): Promise<Response> {
  const url = new URL(request.url);
  const attempt = async (repeat: boolean): Promise<Response> => {
    const proven = request.clone();
    for (const [name, value] of Object.entries(await signed(bound, key, request.method, url, token))) proven.headers.set(name, value);
    const answer = await send(proven);
    const newer = answer.headers.get("dpop-nonce");
    if (newer) bound.nonces.set(url.origin, newer);
    return repeat && newer && (await asksForNonce(answer)) ? attempt(false) : answer;
  };
  return attempt(true);
}

/** Return whether a response asks for a nonce: in the challenge of a resource (RFC 9449 §9), in the body of an endpoint (§8). */
async function asksForNonce(answer: Response): Promise<boolean> {
  const { status, headers } = answer;
  const text = status === 401 ? headers.get("www-authenticate") : status === 400 ? await answer.clone().text() : "";
  return !!text?.includes("use_dpop_nonce");
}

/** Return what a session endpoint's response means if the session has to be bound to this key. */
async function judge(
  core: Core,
  keys: Keys,
  path: string,
  key: Key,
  answer: Response,
  send: (key: Key) => Promise<Response>,
): Promise<Response> {
  if (path === "logout") {
    if (answer.ok) await keys.forget(key);
    return answer;
  }
  const { error, tokenType, token_type = tokenType } = readObject(await answer.clone().text()) ?? {};
  if (path === "refresh" && error === "invalid_dpop_proof") {
    const newer = await keys.reload(); // another tab may have logged in, with a new key
    if (newer.thumbprint !== key.thumbprint) return judge(core, keys, path, newer, await send(newer), send);
    if (!key.used) lost(core);
  }
  if (!answer.ok) return answer;
  if (/^dpop$/i.test(`${token_type}`)) {
    await keys.keep(key);
    return answer;
  }
  if (path === "login") await core.send(`${core.url}/logout`, { method: "POST", credentials: "include" });
  return unavailable("The server does not bind sessions: it needs dpop=True");
}

/** End the session in this tab; another one may still have the key. */
function lost(core: Core): LoginRequired {
  core.settle({ reason: KEY_LOST }, true);
  return new LoginRequired(`Login required: ${KEY_LOST}`);
}

/** Return the thumbprint of the key that an access token is bound to; `undefined` if it does not say. */
const boundTo = (accessToken: string) => (readClaims(accessToken)["cnf"] as { jkt?: string } | undefined)?.jkt;

const unavailable = (message: string) => Response.json({ error: "dpop_unavailable", message }, { status: 400 });
