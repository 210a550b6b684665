/** The key of a browser profile, which no script can read: made by WebCrypto, kept in IndexedDB, the same in all tabs. */
export interface Key {
  /** RFC 7638, SHA-256. */
  thumbprint: string;
  jwk: { kty: string; crv: string; x: string; y: string };
  privateKey: CryptoKey;
  /** Whether a session is bound to it. */
  used: boolean;
}

export interface Keys {
  /** Return the key of this thumbprint, if this browser has it; without one, the key that there is, or a new one. */
  find(thumbprint?: string): Promise<Key>;
  /** Look again which key there is: another tab may have made a new one. */
  reload(): Promise<Key>;
  /** Keep the key that a session is bound to. */
  keep(key: Key): Promise<void>;
  /** Remove the key: the session that is bound to it has ended. */
  forget(key: Key): Promise<void>;
}

const DATABASE = "daypass";
const STORE = "keys";
const CURVE = { name: "ECDSA", namedCurve: "P-256" };

/** @param name of the session: each issuer gets its own key. */
export function createKeys(name: string): Keys {
  let known: Key | undefined;
  const keys: Keys = {
    async find(thumbprint) {
      return known && (!thumbprint || known.thumbprint === thumbprint) ? known : keys.reload();
    },
    async reload() {
      const key = known ?? (await inStore((store) => store.get(name))) ?? (await generate());
      await inStore((store) => store.add(key, name)); // unless there is one
      known = (await inStore((store) => store.get(name))) ?? key; // without a database, for as long as the page lives
      return known;
    },
    async keep(key) {
      key.used = true;
      await inStore((store) => store.put(key, name));
    },
    async forget(key) {
      const kept = await inStore<Key>((store) => store.get(name));
      if (kept?.thumbprint === key.thumbprint) await inStore((store) => store.delete(name));
      known = undefined;
    },
  };
  return keys;
}

/** Make a proof (RFC 9449 §4.2). */
export async function sign({ jwk, privateKey }: Key, claims: object): Promise<string> {
  const iat = Math.floor(Date.now() / 1000);
  const parts = [{ typ: "dpop+jwt", alg: "ES256", jwk }, { jti: crypto.randomUUID(), iat, ...claims }];
  const text = parts.map((part) => base64url(encode(JSON.stringify(part)))).join(".");
  const signature = await crypto.subtle.sign({ name: "ECDSA", hash: "SHA-256" }, privateKey, encode(text));
  return `${text}.${base64url(signature)}`;
}

/** Return a text's SHA-256. */
export const digest = async (text: string): Promise<string> => base64url(await crypto.subtle.digest("SHA-256", encode(text)));

async function generate(): Promise<Key> {
  const { privateKey, publicKey } = await crypto.subtle.generateKey(CURVE, false, ["sign", "verify"]);
  const { crv, kty, x, y } = (await crypto.subtle.exportKey("jwk", publicKey)) as Key["jwk"];
  return { thumbprint: await digest(JSON.stringify({ crv, kty, x, y })), jwk: { kty, crv, x, y }, privateKey, used: false };
}

/** Do one step; `undefined` if it was not possible, for example because the browser allows no storage. */
async function inStore<T>(use: (store: IDBObjectStore) => IDBRequest): Promise<T | undefined> {
  try {
    const opening = indexedDB.open(DATABASE, 1);
    opening.onupgradeneeded = () => opening.result.createObjectStore(STORE);
    const database = await done(opening);
    try {
      return (await done(use(database.transaction(STORE, "readwrite").objectStore(STORE)))) as T;
    } finally {
      database.close();
    }
  } catch {
    return undefined;
  }
}

const done = <T>(request: IDBRequest<T>): Promise<T> =>
  new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });

const encode = (text: string) => new TextEncoder().encode(text);

const base64url = (bytes: ArrayBuffer | Uint8Array) =>
  btoa(String.fromCharCode(...new Uint8Array(bytes))).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
