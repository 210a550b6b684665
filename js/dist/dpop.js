// src/dpop_keys.ts
var DATABASE = "daypass";
var STORE = "keys";
var CURVE = { name: "ECDSA", namedCurve: "P-256" };
function createKeys(name) {
  let known2;
  const keys = {
    async find(thumbprint) {
      return known2 && (!thumbprint || known2.thumbprint === thumbprint) ? known2 : keys.reload();
    },
    async reload() {
      const key = known2 ?? await inStore((store) => store.get(name)) ?? await generate();
      await inStore((store) => store.add(key, name));
      known2 = await inStore((store) => store.get(name)) ?? key;
      return known2;
    },
    async keep(key) {
      key.used = true;
      await inStore((store) => store.put(key, name));
    },
    async forget(key) {
      const kept = await inStore((store) => store.get(name));
      if (kept?.thumbprint === key.thumbprint) await inStore((store) => store.delete(name));
      known2 = void 0;
    }
  };
  return keys;
}
async function sign({ jwk, privateKey }, claims) {
  const iat = Math.floor(Date.now() / 1e3);
  const parts = [{ typ: "dpop+jwt", alg: "ES256", jwk }, { jti: crypto.randomUUID(), iat, ...claims }];
  const text = parts.map((part) => base64url(encode(JSON.stringify(part)))).join(".");
  const signature = await crypto.subtle.sign({ name: "ECDSA", hash: "SHA-256" }, privateKey, encode(text));
  return `${text}.${base64url(signature)}`;
}
var digest = async (text) => base64url(await crypto.subtle.digest("SHA-256", encode(text)));
async function generate() {
  const { privateKey, publicKey } = await crypto.subtle.generateKey(CURVE, false, ["sign", "verify"]);
  const { crv, kty, x, y } = await crypto.subtle.exportKey("jwk", publicKey);
  return { thumbprint: await digest(JSON.stringify({ crv, kty, x, y })), jwk: { kty, crv, x, y }, privateKey, used: false };
}
async function inStore(use) {
  try {
    const opening = indexedDB.open(DATABASE, 1);
    opening.onupgradeneeded = () => opening.result.createObjectStore(STORE);
    const database = await done(opening);
    try {
      return await done(use(database.transaction(STORE, "readwrite").objectStore(STORE)));
    } finally {
      database.close();
    }
  } catch {
    return void 0;
  }
}
var done = (request) => new Promise((resolve, reject) => {
  request.onsuccess = () => resolve(request.result);
  request.onerror = () => reject(request.error);
});
var encode = (text) => new TextEncoder().encode(text);
var base64url = (bytes) => btoa(String.fromCharCode(...new Uint8Array(bytes))).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");

// src/dpop.ts
import { LoginRequired, RefreshUnavailable } from "./index.js";

// src/json.ts
function readObject(text) {
  try {
    const value = JSON.parse(text.trim() || "{}");
    return Object(value) === value ? value : void 0;
  } catch {
    return void 0;
  }
}

// src/options.ts
var baseURL = () => globalThis.document?.baseURI ?? globalThis.location?.href;

// src/user.ts
function readClaims(token) {
  try {
    const bytes = atob(token.split(".")[1].replace(/-/g, "+").replace(/_/g, "/"));
    return readObject(decodeURIComponent(escape(bytes))) ?? {};
  } catch {
    return {};
  }
}

// src/dpop.ts
var KEY_LOST = "key lost";
var known = /* @__PURE__ */ new WeakMap();
function boundOf(core) {
  const bound = known.get(core.session) ?? { keys: createKeys(core.label), nonces: /* @__PURE__ */ new Map() };
  known.set(core.session, bound);
  return bound;
}
async function headersFor(session, method, url, accessToken) {
  const token = accessToken ?? await session.token();
  const thumbprint = boundTo(token);
  if (!thumbprint) return { authorization: `Bearer ${token}` };
  const bound = known.get(session);
  if (!bound) throw new RefreshUnavailable("The session is still starting: try again");
  const key = await bound.keys.find(thumbprint);
  if (thumbprint !== key.thumbprint) throw new LoginRequired(`Login required: ${KEY_LOST}`);
  return await signed(bound, key, method, new URL(url, baseURL()), token);
}
async function signed({ nonces }, key, method, { origin, pathname }, token) {
  const ath = token && await digest(token);
  const dpop = await sign(key, { htm: method, htu: origin + pathname, nonce: nonces.get(origin), ath });
  return { dpop, ...token && { authorization: `DPoP ${token}` } };
}
var prove = async (core, plain, input, init) => {
  const url = core.cover(input.url ?? input);
  const path = url?.startsWith(`${core.url}/`) && /^(login|refresh|confirm|logout)(?![^?])/.exec(url.slice(core.url.length + 1))?.[1];
  const token = new Headers(init?.headers ?? input.headers).get("authorization")?.replace(/^Bearer /, "");
  const thumbprint = token && boundTo(token);
  if (!url || !(path || thumbprint)) return plain.call(globalThis, input, init);
  if (!globalThis.crypto?.subtle) return unavailable("The option dpop needs HTTPS");
  const bound = boundOf(core);
  const request = new Request(input, init);
  const send = (key2) => sendBy(bound, key2, request, token, (proven) => plain.call(globalThis, proven, again(init)));
  const key = await bound.keys.find(thumbprint);
  if (thumbprint && thumbprint !== key.thumbprint) throw lost(core);
  const answer = await send(key);
  return path ? judge(core, bound.keys, path, key, answer, send) : answer;
};
var dpop_default = prove;
var again = ({ signal, referrer, referrerPolicy } = {}) => ({ signal, referrer, referrerPolicy });
async function sendBy(bound, key, request, token, send) {
  const url = new URL(request.url);
  const attempt = async (repeat) => {
    const proven = request.clone();
    for (const [name, value] of Object.entries(await signed(bound, key, request.method, url, token))) proven.headers.set(name, value);
    const answer = await send(proven);
    const newer = answer.headers.get("dpop-nonce");
    if (newer) bound.nonces.set(url.origin, newer);
    return repeat && newer && await asksForNonce(answer) ? attempt(false) : answer;
  };
  return attempt(true);
}
async function asksForNonce(answer) {
  const { status, headers } = answer;
  const text = status === 401 ? headers.get("www-authenticate") : status === 400 ? await answer.clone().text() : "";
  return !!text?.includes("use_dpop_nonce");
}
async function judge(core, keys, path, key, answer, send) {
  if (path === "logout") {
    if (answer.ok) await keys.forget(key);
    return answer;
  }
  const { error, tokenType, token_type = tokenType } = readObject(await answer.clone().text()) ?? {};
  if (path === "refresh" && error === "invalid_dpop_proof") {
    const newer = await keys.reload();
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
function lost(core) {
  core.settle({ reason: KEY_LOST }, true);
  return new LoginRequired(`Login required: ${KEY_LOST}`);
}
var boundTo = (accessToken) => readClaims(accessToken)["cnf"]?.jkt;
var unavailable = (message) => Response.json({ error: "dpop_unavailable", message }, { status: 400 });
export {
  boundOf,
  dpop_default as default,
  headersFor
};
//# sourceMappingURL=dpop.js.map
