// src/timing.ts
var DEADLINE = 1e4;
var PATIENCE = 4e3;
var LONGEST_TIMER = 2 ** 31 - 1;
var LONGEST_RETRY_AFTER = 3e5;

// src/json.ts
function readObject(text) {
  try {
    const value = JSON.parse(text.trim() || "{}");
    return Object(value) === value ? value : void 0;
  } catch {
    return void 0;
  }
}

// src/user.ts
function readClaims(token) {
  try {
    const bytes = atob(token.split(".")[1].replace(/-/g, "+").replace(/_/g, "/"));
    return readObject(decodeURIComponent(escape(bytes))) ?? {};
  } catch {
    return {};
  }
}

// src/endpoints.ts
async function ask(core, path, limit, content, sent = {}) {
  try {
    const answer = await core.send(`${core.url}/${path}`, {
      method: "POST",
      credentials: "include",
      keepalive: true,
      // the response's cookie is set even if the page is closed meanwhile
      signal: AbortSignal.timeout(Math.ceil(limit)),
      headers: sent,
      body: content ? new Blob([content], { type: "application/json" }) : null
    });
    const { status, headers } = answer;
    return { status, headers, body: readObject(await answer.text()), said: `${path}: HTTP ${status}` };
  } catch (error) {
    return { status: 0, headers: new Headers(), said: `${path}: ${error.name}` };
  }
}
function readGrant(body) {
  const accessToken = body?.accessToken;
  if (!isAccessToken(accessToken)) return void 0;
  const { exp, iat } = readClaims(accessToken);
  return { accessToken, lifetime: span(body?.expiresIn) ?? span(exp - iat), ends: span(body?.refreshExpiresIn) };
}
var isAccessToken = (text) => typeof text === "string" && /^[!-~]+$/.test(text);
function judge({ status, body, headers, said }) {
  const grant = status < 300 && readGrant(body);
  if (grant) return { grant };
  const ends = status === 400 ? /^invalid_(grant|token)$/.test(body?.error) : status === 401 && body;
  if (ends && isBearers(headers.get("www-authenticate"))) return { reason: said };
  const retryAfter = readRetryAfter(headers);
  const { error: code, message } = body ?? {};
  return { unavailable: said, code, message, retryAfter: retryAfter && Math.min(retryAfter, LONGEST_RETRY_AFTER) };
}
function readRetryAfter(headers) {
  const after = headers.get("retry-after") ?? "";
  const now = Date.parse(headers.get("date") ?? "") || Date.now();
  return span(+after) ?? span((Date.parse(after) - now) / 1e3);
}
var isBearers = (challenge) => !challenge || /(^|,)\s*(bearer|dpop)\b/i.test(challenge);
var span = (seconds) => typeof seconds === "number" && seconds > 0 ? seconds * 1e3 : void 0;

// src/login.ts
import { CookieRejected, CredentialsRejected, LoginRefused, RefreshUnavailable } from "./index.js";

// src/lock.ts
async function exclusive(name, patience, work) {
  const { locks } = navigator;
  let begun;
  const begin = (waited) => begun ??= work(waited);
  try {
    await locks?.request(name, { ifAvailable: true }, (lock) => lock && begin(false));
    if (locks && !begun) await locks.request(name, { signal: AbortSignal.timeout(patience) }, () => begin(true));
  } catch {
  }
  return begin(!!locks);
}

// src/logout.ts
var forgetLogout = (core) => stored((storage) => storage.removeItem(core.label));
function stored(use) {
  try {
    return use(localStorage);
  } catch {
    return void 0;
  }
}

// src/login.ts
async function login(core, credentials) {
  await core.refreshing;
  return exclusive(core.label, PATIENCE, async () => {
    const { status, body, said } = await ask(core, "login", DEADLINE, JSON.stringify(credentials));
    const grant = readGrant(body);
    if (!grant) {
      if (status === 401) throw new CredentialsRejected("Wrong credentials");
      if (status > 399 && status < 429) throw new LoginRefused(`${said} ${body?.message ?? ""}`, { reason: body?.error });
      throw new RefreshUnavailable(said);
    }
    forgetLogout(core);
    core.pause(0);
    core.settle({ grant: await withCookie(core, grant) });
    return core.snapshot.user;
  });
}
async function withCookie(core, granted) {
  const page = globalThis.location;
  const { origin, protocol, hostname } = new URL(core.url);
  if (protocol === page.protocol && hostname === page.hostname && cookiesAreKept()) return granted;
  const { grant = granted, reason } = judge(await ask(core, "refresh", DEADLINE));
  if (!reason) return grant;
  throw new CookieRejected(
    `The browser keeps no cookie of ${origin} for a page of ${page.origin}: allow cookies, use one host name for both`
  );
}
function cookiesAreKept() {
  const check = "daypass-ok=";
  try {
    document.cookie = check;
    const kept = document.cookie.includes(check);
    document.cookie = `${check};max-age=0`;
    return kept;
  } catch {
    return false;
  }
}
export {
  login as default
};
//# sourceMappingURL=login.js.map
