/**
 * The published keys of an issuer: kept, and fetched again before they are old. As `RemoteVerifier` in Python has them.
 *
 * Tokens with a known key never wait, except a second at most for keys that are old. A token with an unknown key waits for a
 * fetch that begins after it came; all such tokens share one, one a second at most. While the issuer is down the last good
 * keys are used, for a day.
 */
import { type CryptoKey, importJWK } from "jose";
import { sleep } from "./clock.ts";
import { readObject } from "./json.ts";
import { IssuerUnusable, KeysUnavailable } from "./verify_errors.ts";
import { type Get, WITHIN } from "./verify_http.ts";

export interface Key {
  algorithm: string;
  key: CryptoKey;
  /** Its public members, to tell whether it has changed. */
  text: string;
}

const APART = 3000;
const APART_FOR_UNKNOWN = 1000;
const KEPT = 86_400_000;
const PATIENCE = 4 * WITHIN + 2000;
const PATIENCE_FOR_OLD = 1000;
const [FRESH_AT_LEAST, FRESH, FRESH_AT_MOST] = [60_000, 300_000, 600_000];
const MOST = 100;

const KINDS: Record<string, [algorithm: string, ...members: string[]]> = {
  "EC P-256": ["ES256", "crv", "x", "y"],
  "OKP Ed25519": ["Ed25519", "crv", "x"],
  RSA: ["RS256", "n", "e"],
};
const PRIVATE = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];
const RSA_BITS = [2048, 8192] as const;

type Failure = KeysUnavailable | IssuerUnusable;

export interface Keys {
  find(kid: string): Key | undefined;
  /**
   * Return once there are keys that are fresh enough.
   *
   * @throws KeysUnavailable if there are none.
   */
  ready(): Promise<void>;
  /**
   * Return once a fetch has ended that began after now.
   *
   * @throws KeysUnavailable if it or the one before it failed.
   */
  renew(): Promise<void>;
}

/** @param changed is called when a known key was removed or replaced. */
export function createKeys(issuer: string, given: string | undefined, get: Get, changed: () => void): Keys {
  let keys = new Map<string, Key>();
  let url = given;
  let fetchedAt = -Infinity;
  let triedAt = -Infinity;
  let freshFor = 0;
  let running: Promise<void> | undefined;
  let next: Promise<void> | undefined;
  let failure: Failure | undefined;
  let isLate = false;

  const since = (moment: number) => Math.abs(Date.now() - moment);
  const isUsable = () => keys.size > 0 && since(fetchedAt) < KEPT;
  const why = () => failure ?? new KeysUnavailable("the issuer's keys were not fetched in time");

  const begin = () => next ?? running ?? (since(triedAt) < APART ? undefined : start(0));
  const beginNext = () => {
    if (next) return next;
    if (failure && since(triedAt) < APART && !running) return undefined;
    return start(Math.max(0, APART_FOR_UNKNOWN - since(triedAt)));
  };
  const start = (delay: number) => {
    const before = running;
    const work = async () => {
      await before;
      const fetching = next;
      if (!before || !failure) {
        if (delay) await sleep(delay);
        [running, next, triedAt] = [fetching, undefined, Date.now()];
        failure = await read().catch((error: Failure) => error);
        if (failure) url = given; // they may have moved
      }
      isLate = false;
      if (running === fetching) running = undefined;
      if (next === fetching) next = undefined;
    };
    return (next = work());
  };

  /** Fetch them once, or throw the reason. */
  const read = async (): Promise<undefined> => {
    const from = url ?? (await findURL());
    const { status, headers, body } = await get(from);
    const hint = status === 404 ? ": mount the issuer's well-known routes there, or give jwksUrl" : "";
    if (status !== 200) throw new KeysUnavailable(`${from} answered with ${status}${hint}`);
    const found = await keysIn(body);
    const isSame = [...keys].every(([kid, { text }]) => found.get(kid)?.text === text);
    [keys, url, fetchedAt, freshFor] = [found, from, Date.now(), lifetime(headers.get("cache-control"))];
    if (!isSame) changed();
  };

  /** Return the URL of the keys, from the issuer's metadata; without metadata, Daypass's own. */
  const findURL = async () => {
    const { origin, pathname } = new URL(issuer);
    const from = `${origin}/.well-known/oauth-authorization-server${pathname.replace(/\/+$/, "")}`;
    const { status, body } = await get(from);
    if (status >= 400 && status < 500) return `${issuer.replace(/\/+$/, "")}/.well-known/jwks.json`;
    const { issuer: named, jwks_uri } = (status === 200 && readObject(body)) || {};
    if (status !== 200 || named === undefined) throw new KeysUnavailable(`${from} answered with ${status}, without metadata`);
    if (named !== issuer) throw new IssuerUnusable(`the metadata at ${from} is of another issuer than ${issuer}`);
    if (!isSecure(`${jwks_uri}`) || (/^https:/.test(issuer) && !/^https:/.test(`${jwks_uri}`))) {
      throw new IssuerUnusable(`the metadata at ${from} has the jwks_uri ${jwks_uri}: an https URL is needed`);
    }
    return `${jwks_uri}`;
  };

  return {
    find: (kid) => keys.get(kid),
    async ready() {
      const age = since(fetchedAt);
      if (age * 2 < freshFor) return;
      const fetching = begin();
      if (!isUsable()) {
        await within(fetching, PATIENCE);
        if (!isUsable()) throw why();
      } else if (fetching && age >= freshFor && !failure && !isLate) {
        isLate = !(await within(fetching, PATIENCE_FOR_OLD)); // then no other token waits until they are here
      }
    },
    async renew() {
      const fetching = beginNext();
      if (!(fetching && (await within(fetching, PATIENCE))) || failure) throw new KeysUnavailable(why().message);
    },
  };
}

/** Return whether keys may be fetched from a URL: HTTPS, or plain HTTP on loopback; no user, no fragment. */
export function isSecure(url: string): boolean {
  try {
    const { protocol, hostname, username, password, hash } = new URL(url);
    const isLoopback = /^(127\.\d+\.\d+\.\d+|\[::1\]|(.+\.)?localhost)$/.test(hostname);
    return !username && !password && !hash && (protocol === "https:" || (protocol === "http:" && isLoopback));
  } catch {
    return false;
  }
}

/** Wait for a fetch, at most this many milliseconds; return whether it has ended. */
async function within(fetching: Promise<void> | undefined, milliseconds: number): Promise<boolean> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<false>((go) => (timer = setTimeout(go, milliseconds, false)));
  const done = await Promise.race([fetching?.then(() => true) ?? false, late]);
  clearTimeout(timer);
  return done;
}

async function keysIn(body: string): Promise<Map<string, Key>> {
  const listed = readObject(body || "[]")?.keys;
  if (!Array.isArray(listed) || listed.length > MOST) throw new KeysUnavailable("the issuer's keys are not a JWK Set");
  const found = new Map<string, Key>();
  for (const jwk of listed) {
    const key = await usable(jwk);
    if (key && !found.has(jwk.kid)) found.set(jwk.kid, key);
  }
  if (found.size) return found;
  throw new IssuerUnusable("the issuer publishes no key that others can verify with: have it sign with ES256, not HS256");
}

async function usable(jwk: Record<string, unknown> | null): Promise<Key | undefined> {
  if (Object(jwk) !== jwk || PRIVATE.some((member) => member in jwk!)) return undefined;
  const { kty, crv, kid, alg, use = "sig", key_ops = ["verify"] } = jwk!;
  const [algorithm, ...members] = KINDS[crv === undefined ? `${kty}` : `${kty} ${crv}`] ?? [];
  const fits =
    algorithm !== undefined &&
    typeof kid === "string" &&
    kid !== "" &&
    (alg === undefined || alg === algorithm) &&
    use === "sig" &&
    Array.isArray(key_ops) &&
    key_ops.includes("verify") &&
    members.every((member) => typeof jwk![member] === "string");
  if (!fits) return undefined;
  const open = Object.fromEntries([["kty", kty], ...members.map((member) => [member, jwk![member]])]) as { kty: string };
  try {
    const key = (await importJWK(open, algorithm)) as CryptoKey;
    const { modulusLength: bits } = key.algorithm as { modulusLength?: number };
    if (bits !== undefined && (bits < RSA_BITS[0] || bits > RSA_BITS[1])) return undefined;
    return { algorithm, key, text: JSON.stringify(open) };
  } catch {
    return undefined;
  }
}

/** Return for how many milliseconds keys are used without asking again, within bounds (RFC 9111 §5.2.2.1). */
function lifetime(cacheControl: string | null): number {
  const [, seconds] = /(?:^|,)\s*max-age\s*=\s*"?(\d{1,9})/i.exec(cacheControl ?? "") ?? [];
  return seconds === undefined ? FRESH : Math.min(Math.max(+seconds * 1000, FRESH_AT_LEAST), FRESH_AT_MOST);
}
