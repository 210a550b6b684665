// src/server_cookies.ts
var DAY = 864e5;
var LONGEST = 400 * DAY;
var SECURE = "__Host-";
var DEFAULT = "daypass";
function cookieNames({ name, port }, host) {
  if (name) return [SECURE + name, name];
  const ports = [port, host?.match(/:(\d+)$/)?.[1]].filter(Boolean);
  return [SECURE + DEFAULT, ...ports.map((each) => `${DEFAULT}-${each}`), DEFAULT];
}
function cookieIn(headers, options) {
  const values = readCookies(headers);
  for (const name of cookieNames(options, headers.get("host"))) {
    const value = values.get(name);
    if (value) return { name, value, mayBeAnothers: name === DEFAULT };
  }
  return void 0;
}
function setCookie({ name }, value, lifetime, { sameSite }) {
  const age = lifetime === null ? "" : `; Max-Age=${Math.floor(Math.min(lifetime, LONGEST) / 1e3)}`;
  return `${name}=${value}; Path=/${age}; HttpOnly${name.startsWith(SECURE) ? "; Secure" : ""}; SameSite=${sameSite}`;
}
function replaceCookie(headers, { name }, value) {
  const pairs = headers.get("cookie").split(";");
  const isIt = (pair) => pair.split("=")[0].trim() === name;
  headers.set("cookie", pairs.map((pair) => isIt(pair) ? `${name}=${value}` : pair.trim()).join("; "));
}
function ownCookies(headers, options) {
  const values = readCookies(headers);
  const names = cookieNames(options, headers.get("host")).filter((name) => values.has(name));
  return names.map((name) => `${name}=${values.get(name)}`).join("; ") || void 0;
}
function readCookies(headers) {
  const values = /* @__PURE__ */ new Map();
  for (const pair of (headers.get("cookie") ?? "").split(";")) {
    const at = pair.indexOf("=");
    const name = pair.slice(0, at).replace(/^[ \t]+|[ \t]+$/g, "");
    const value = pair.slice(at + 1).trim().replace(/^"|"$/g, "");
    if (at > 0 && /^[!#-+\--:<-[\]-~]{1,4096}$/.test(value) && !values.has(name)) values.set(name, value);
  }
  return values;
}

// src/server_auth.ts
var ASKED = ["accept", "authorization", "content-type", "if-none-match", "origin", "sec-fetch-dest", "sec-fetch-mode"];
var MORE = ["sec-fetch-site", "user-agent", "access-control-request-headers", "access-control-request-method"];
var ANSWERED = ["allow", "cache-control", "clear-site-data", "content-type", "daypass-grace", "etag", "retry-after"];
var CORS = ["access-control-allow-credentials", "access-control-allow-headers", "access-control-allow-methods"];
var MORE_CORS = ["access-control-allow-origin", "access-control-expose-headers", "access-control-max-age"];
var SECURITY = ["vary", "www-authenticate", "x-content-type-options"];
var TIMEOUT = 3e4;
var LONGEST_BODY = 65536;
function aboutClient(request, { from, address }) {
  const client = request && address(request);
  const agent = request?.headers.get("user-agent");
  return {
    ...from && { "x-forwarded-proto": from.protocol.slice(0, -1), "x-forwarded-host": from.host },
    ...client && /^[\da-f.:]+$/i.test(client) && { "x-forwarded-for": client },
    ...agent && { "user-agent": agent }
  };
}
async function forward(request, options, cookie) {
  const { pathname, search } = new URL(request.url);
  const { url, mount, send } = options;
  const path = pathname.startsWith(`${mount}/`) ? pathname.slice(mount.length) : void 0;
  if (!path || !/^\/[\w.-]+(\/[\w-]+)?$/.test(path) || path.includes("..")) return failure(404, "not_found", "Not found");
  const headers = new Headers(aboutClient(request, options));
  for (const name of [...ASKED, ...MORE]) {
    const value = request.headers.get(name);
    if (value !== null) headers.set(name, value);
  }
  const cookies = ownCookies(request.headers, cookie);
  if (cookies) headers.set("cookie", cookies);
  if (Number(request.headers.get("content-length")) > LONGEST_BODY) {
    return failure(413, "content_too_large", `The body is too large: send at most ${LONGEST_BODY} bytes`);
  }
  const body = /^(GET|HEAD|OPTIONS)$/.test(request.method) ? null : await request.arrayBuffer();
  try {
    const init = { method: request.method, headers, body, redirect: "manual", cache: "no-store" };
    const response = await send(url + path + search, { ...init, signal: AbortSignal.timeout(TIMEOUT) });
    const given = new Headers();
    for (const name of [...ANSWERED, ...CORS, ...MORE_CORS, ...SECURITY]) {
      const value = response.headers.get(name);
      if (value !== null) given.set(name, value);
    }
    for (const each of response.headers.getSetCookie()) given.append("set-cookie", each);
    const { status } = response;
    return new Response(status === 204 || status === 304 ? null : response.body, { status, headers: given });
  } catch {
    return failure(503, "temporarily_unavailable", "Try again in a moment", { "retry-after": "1" });
  }
}
function failure(status, error, message, more) {
  return Response.json({ message, error }, { status, headers: { "cache-control": "no-store", ...more } });
}

// src/json.ts
function readObject(text) {
  try {
    const value = JSON.parse(text.trim() || "{}");
    return Object(value) === value ? value : void 0;
  } catch {
    return void 0;
  }
}

// src/timing.ts
var LONGEST_TIMER = 2 ** 31 - 1;
var LONGEST_RETRY_AFTER = 3e5;

// src/user.ts
function readClaims(token) {
  try {
    const bytes = atob(token.split(".")[1].replace(/-/g, "+").replace(/_/g, "/"));
    return readObject(decodeURIComponent(escape(bytes))) ?? {};
  } catch {
    return {};
  }
}
function readUser(token) {
  const { exp, iat, nbf, jti, ...claims } = readClaims(token);
  const { sub, username = null, email = null } = claims;
  return sub ? Object.freeze({ subject: sub, username, email, claims: Object.freeze(claims) }) : null;
}

// src/endpoints.ts
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
var refreshingCanHelp = (challenge) => isBearers(challenge) && !challenge?.includes("insufficient_scope");
var isBearers = (challenge) => !challenge || /(^|,)\s*(bearer|dpop)\b/i.test(challenge);
var span = (seconds) => typeof seconds === "number" && seconds > 0 ? seconds * 1e3 : void 0;

// src/server_refresh.ts
var ATTEMPTS = 2;
var ATTEMPT = 5e3;
var PAUSE = 200;
var SHARED = 2e3;
var RESTS = 1e3;
var MOST = 1e4;
var MARGIN = 3e4;
function createRefresher(url, options) {
  const underWay = /* @__PURE__ */ new Map();
  const tokens = /* @__PURE__ */ new Map();
  const refresher = {
    async held(refreshToken, request) {
      const held = tokens.get(refreshToken);
      if (!held || Date.now() >= held.until) return void 0;
      if (Date.now() < held.due) return { accessToken: held.accessToken };
      const newer = await refresher.refresh(refreshToken, request, held.accessToken);
      return newer.unavailable && Date.now() < held.until ? { accessToken: held.accessToken } : void 0;
    },
    refresh(refreshToken, request, rejected) {
      const now = Date.now();
      for (const [key, { until }] of underWay) if (until < now) underWay.delete(key);
      const known = underWay.get(refreshToken);
      if (known) {
        return known.result.then(
          (result) => rejected && result.accessToken === rejected ? start(refreshToken, request, rejected) : result
        );
      }
      return start(refreshToken, request, rejected);
    },
    knows: (refreshToken) => tokens.has(refreshToken),
    forget(refreshToken) {
      tokens.delete(refreshToken);
      underWay.delete(refreshToken);
    }
  };
  return refresher;
  function start(refreshToken, request, rejected) {
    if (tokens.get(refreshToken)?.accessToken === rejected) tokens.delete(refreshToken);
    const entry = { result: attempt(refreshToken, request), until: Infinity };
    underWay.set(refreshToken, entry);
    void entry.result.then((result) => {
      entry.until = Date.now() + (result.unavailable ? RESTS : SHARED);
      if (result.accessToken) hold(result.refreshToken ?? refreshToken, result);
    });
    return entry.result;
  }
  function hold(refreshToken, { accessToken, expires }) {
    if (!expires) return;
    const now = Date.now();
    tokens.delete(refreshToken);
    tokens.set(refreshToken, { accessToken, until: now + expires, due: now + expires - Math.min(MARGIN, expires / 5) });
    for (const [key, { until }] of tokens) {
      if (tokens.size <= MOST && until > now) break;
      tokens.delete(key);
    }
  }
  async function attempt(refreshToken, request) {
    for (let turn = 1; ; turn++) {
      const result = await ask(refreshToken, request);
      const again = result.unavailable && result.status !== 429 || result.stale;
      if (!again || turn === ATTEMPTS) return result;
      await new Promise((go) => setTimeout(go, PAUSE));
    }
  }
  async function ask(refreshToken, request) {
    let answer;
    try {
      const response = await options.send(`${url}/refresh`, {
        method: "POST",
        redirect: "manual",
        cache: "no-store",
        headers: { ...aboutClient(request, options), "content-type": "application/json" },
        body: JSON.stringify({ refreshToken }),
        signal: AbortSignal.timeout(ATTEMPT)
      });
      const { status, headers } = response;
      answer = { status, headers, body: readObject(await response.text()), said: `refresh: HTTP ${status}` };
    } catch {
      return { unavailable: "refresh: no answer", status: 0 };
    }
    if (answer.status === 409) return { stale: true };
    const { grant, unavailable, retryAfter } = judge(answer);
    if (unavailable) return { unavailable, status: answer.status, retryAfter };
    if (!grant) return {};
    const { refreshToken: next, refreshExpiresIn, persistent } = answer.body;
    return {
      accessToken: grant.accessToken,
      expires: grant.lifetime,
      refreshToken: typeof next === "string" && /^[\w.~-]{1,4000}$/.test(next) ? next : void 0,
      lifetime: typeof refreshExpiresIn === "number" ? refreshExpiresIn * 1e3 : void 0,
      persistent: persistent !== false
    };
  }
}

// src/server_session.ts
import { LoginRequired, RefreshUnavailable } from "./index.js";
function createServerSession(accessToken, { covered, base, send, refresh }) {
  const user = accessToken ? readUser(accessToken) : null;
  const status = accessToken ? "in" : "out";
  const shown = Object.freeze({ status, user, version: 0 });
  let current = accessToken;
  const renew = async (response) => {
    const { accessToken: newer, unavailable, retryAfter, stale } = await refresh();
    if (unavailable || stale) throw new RefreshUnavailable(unavailable ?? "refresh: HTTP 409", { retryAfter });
    if (!newer) throw new LoginRequired("Login required: the session has ended", { response });
    current = newer;
  };
  return {
    status,
    user,
    snapshot: () => shown,
    async token() {
      if (!current) throw new LoginRequired("Login required: nobody is logged in");
      return current;
    },
    async fetch(input, init) {
      const given = input instanceof Request ? input : void 0;
      const url = new URL(given ? given.url : String(input), base);
      const target = given ?? url.href;
      const headers = new Headers(init?.headers ?? given?.headers);
      if (!current || !covered.includes(url.origin) || headers.has("authorization")) return send(target, init);
      const ask = () => {
        headers.set("authorization", `Bearer ${current}`);
        return send(given?.clone() ?? target, { ...init, headers });
      };
      const response = await ask();
      const { method } = init?.method ? init : given ?? { method: "GET" };
      const repeatable = !(init?.body instanceof ReadableStream) && (!response.redirected || /^(get|head)$/i.test(method));
      const refused = response.status === 401 && refreshingCanHelp(response.headers.get("www-authenticate"));
      if (!refused || !refresh || !repeatable) return response;
      await renew(response);
      await response.body?.cancel();
      return ask();
    }
  };
}

// src/options.ts
function refuseUnknown(unknown) {
  for (const name in unknown) throw new TypeError(`unknown option '${name}'`);
}
function parse(url, base) {
  try {
    return new URL(url, base);
  } catch {
    return void 0;
  }
}

// src/server.ts
var SAFE = /^(GET|HEAD|OPTIONS|TRACE)$/;
var PARTS = /^(audio|font|image|manifest|script|style|track|video|worker)$/;
var CLEARS_WITHIN = 1e3;
var TRIED = "-tried";
var BEARER = /^Bearer +([!-~]+)$/i;
function createPages(options) {
  const { url: endpoints, origins = [], origin, mount = "/auth", cookieName, sameSite = "Lax", ...others } = options;
  const { allowedOrigins = [], address, render = page, fetch, ...unknown } = others;
  refuseUnknown(unknown);
  const url = absolute("url", endpoints).replace(/\/+$/, "");
  const covered = [url, ...origins].map((each) => new URL(absolute("origins", each)).origin);
  const allowed = allowedOrigins.map((each) => new URL(absolute("allowedOrigins", each)).origin);
  const from = origin === void 0 ? void 0 : new URL(absolute("origin", origin));
  if (!/^\/[^?#]*$/.test(mount)) throw new TypeError(`mount: ${JSON.stringify(mount)}: expected a path such as '/auth'`);
  if (!/^(Lax|Strict)$/.test(sameSite)) throw new TypeError(`sameSite: ${JSON.stringify(sameSite)}: expected 'Lax' or 'Strict'`);
  if (cookieName !== void 0 && !/^(?!__)[\w!#$%&'*+.^`|~-]{1,64}$/.test(cookieName)) {
    throw new TypeError(`cookieName: ${JSON.stringify(cookieName)}: expected up to 64 letters, digits and dashes, without __Host-`);
  }
  const cookie = { name: cookieName, sameSite, port: new URL(url).port };
  const send = (input, init) => (fetch ?? globalThis.fetch)(input, init);
  const addresses = /* @__PURE__ */ new WeakMap();
  const addressOf = (request) => addresses.get(request) ?? address?.(request);
  const note = (request, { address: address2, ...unknown2 }) => {
    refuseUnknown(unknown2);
    if (address2) addresses.set(request, address2);
  };
  const forwarding = { url, mount, from, address: addressOf, send };
  const refresher = createRefresher(url, forwarding);
  const sessionOf = (accessToken, refresh) => createServerSession(accessToken, { covered, base: url, send, refresh });
  const refuse = (request, status, code, message, retryAfter) => {
    const html = request.headers.get("accept")?.includes("text/html");
    const headers = new Headers({ "cache-control": "no-store", "content-type": html ? "text/html; charset=utf-8" : "application/json" });
    if (retryAfter) headers.set("retry-after", String(Math.ceil(retryAfter / 1e3)));
    return new Response(html ? render(status, code, message) : JSON.stringify({ message, error: code }), { status, headers });
  };
  const processRequest = async (request, client = {}) => {
    note(request, client);
    const began = Date.now();
    const headers = new Headers(request.headers);
    const own = headers.get("authorization");
    const found = cookieIn(headers, cookie);
    if (own !== null && !/^basic /i.test(own) || !found) {
      return login(request, headers, { session: sessionOf(own?.match(BEARER)?.[1]), varies: own === null });
    }
    if (!SAFE.test(request.method) || /websocket/i.test(headers.get("upgrade") ?? "")) {
      if (!isSameSite(headers, allowed)) {
        return login(request, headers, {
          refusal: refuse(request, 403, "cross_site_request", "A page of another origin may not do this")
        });
      }
    }
    let changed;
    const refresh = async (rejected) => changed = await refresher.refresh(found.value, request, rejected);
    const held = await refresher.held(found.value, request);
    const outcome = held ?? await refresh();
    const setCookies = () => {
      const { refreshToken, lifetime = Infinity, persistent } = changed ?? {};
      if (!refreshToken || refreshToken === found.value) return [];
      return [setCookie(found, refreshToken, persistent ? lifetime : null, cookie)];
    };
    if (outcome.accessToken) {
      headers.set("authorization", `Bearer ${outcome.accessToken}`);
      if (changed?.refreshToken) replaceCookie(headers, found, changed.refreshToken);
      return login(request, headers, {
        session: sessionOf(outcome.accessToken, () => refresh(outcome.accessToken)),
        setCookies,
        personal: true
      });
    }
    if (outcome.unavailable && (outcome.status !== 429 || refresher.knows(found.value))) {
      const { status, retryAfter = 1e3 } = outcome;
      const refusal = status === 429 ? refuse(request, 429, "too_many_requests", "Too many requests: try again later", retryAfter) : refuse(request, 503, "temporarily_unavailable", "Try again in a moment", retryAfter);
      return login(request, headers, { refusal });
    }
    if (outcome.stale) {
      const tried = { ...found, name: found.name + TRIED };
      const mark = await digest(found.value);
      const again = /^(GET|HEAD)$/.test(request.method) && !headers.get("cookie").includes(`${tried.name}=${mark}`);
      if (again) {
        const { origin: here, pathname, search } = new URL(request.url);
        const location = `${from?.origin ?? here}${pathname}${search}`;
        const refusal = new Response(null, { status: 307, headers: { location, "cache-control": "no-store" } });
        refusal.headers.append("set-cookie", setCookie(tried, mark, 6e4, cookie));
        return login(request, headers, { refusal });
      }
    }
    const clears = () => outcome.stale || outcome.unavailable || !isNavigation(headers) || found.mayBeAnothers || Date.now() - began > CLEARS_WITHIN ? [] : [setCookie(found, "", 0, cookie)];
    return login(request, headers, { session: sessionOf(void 0), setCookies: clears, personal: true });
  };
  return {
    processRequest,
    async handle(request, render2, client) {
      const login2 = await processRequest(request, client);
      if (login2.refusal) return login2.refusal;
      return login2.processResponse(await render2(new Request(request, { headers: login2.headers }), login2.session));
    },
    session(headers) {
      const accessToken = headers.get("authorization")?.match(BEARER)?.[1];
      const found = cookieIn(headers, cookie);
      return sessionOf(accessToken, accessToken && found ? () => refresher.refresh(found.value, void 0, accessToken) : void 0);
    },
    async auth(request, client = {}) {
      note(request, client);
      const before = cookieIn(request.headers, cookie);
      if (before) refresher.forget(before.value);
      return forward(request, forwarding, cookie);
    }
  };
  function login(request, headers, found) {
    const { refusal, session = sessionOf(void 0), setCookies = () => [], personal = false, varies = true } = found;
    return {
      refusal,
      session,
      headers,
      processResponse(response) {
        const set = setCookies();
        return withHeaders(response, (theirs) => {
          for (const each of set) theirs.append("set-cookie", each);
          if (personal) keepFromCaches(theirs, set.length > 0, PARTS.test(request.headers.get("sec-fetch-dest") ?? ""));
          if (varies) addVary(theirs);
        });
      }
    };
  }
}
function isSameSite(headers, allowed) {
  const origin = headers.get("origin");
  const site = headers.get("sec-fetch-site");
  if (origin !== null && allowed.includes(origin)) return true;
  if (site !== null) return site === "same-origin" || site === "none";
  return origin === null || parse(origin)?.host === headers.get("host");
}
var isNavigation = (headers) => (headers.get("sec-fetch-mode") ?? "navigate") === "navigate";
function keepFromCaches(headers, sets, isPart) {
  const said = (headers.get("cache-control") ?? "").split(",").map((each) => each.trim()).filter(Boolean);
  const shared = /^(public|s-maxage)\b/i;
  if (said.some((each) => shared.test(each)) && !sets) return;
  const words = said.filter((each) => !shared.test(each));
  const has = (...names) => words.some((each) => names.includes(each.split("=")[0].trim().toLowerCase()));
  if (!isPart && !has("max-age", "no-store")) words.push("no-store");
  else if (!has("private", "no-store")) words.push("private");
  headers.set("cache-control", words.join(", "));
}
function addVary(headers) {
  const vary = headers.get("vary") ?? "";
  if (!/(^|,)\s*(cookie|\*)\s*(,|$)/i.test(vary)) headers.append("vary", "Cookie");
}
function withHeaders(response, change) {
  try {
    change(response.headers);
    return response;
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    const { body, status, statusText } = response;
    const headers = new Headers(response.headers);
    change(headers);
    return new Response(body, { status, statusText, headers });
  }
}
async function digest(text) {
  const bytes = new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text)));
  return Array.from(bytes.slice(0, 8), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
function absolute(name, value) {
  const url = parse(value);
  if (!url || !/^https?:$/.test(url.protocol)) {
    throw new TypeError(`${name}: ${JSON.stringify(value)}: expected a full URL such as 'http://127.0.0.1:8000/auth'`);
  }
  return url.href;
}
var page = (status, _code, message) => `<!doctype html><html lang="en"><meta charset="utf-8"><title>${status}</title><p>${message}.</p></html>`;
export {
  createPages
};
//# sourceMappingURL=server.js.map
