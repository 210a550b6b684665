// src/errors.ts
var Failure = class extends Error {
};
var LoginRequired = class extends Failure {
  name = "LoginRequired";
  code = "login_required";
  constructor(reason, response) {
    super(`Login required: ${reason || "nobody is logged in"}`);
    this.response = response;
  }
};
var RefreshUnavailable = class extends Failure {
  name = "RefreshUnavailable";
  code = "refresh_unavailable";
  constructor(reason, retryAfter) {
    super(reason);
    this.retryAfter = retryAfter;
  }
};
var CredentialsRejected = class extends Failure {
  name = "CredentialsRejected";
  code = "credentials_rejected";
  constructor() {
    super("Wrong credentials");
  }
};
var LoginRefused = class extends Failure {
  name = "LoginRefused";
  code = "login_refused";
  constructor(message, reason) {
    super(message);
    this.reason = reason;
  }
};
var CookieRejected = class extends Failure {
  name = "CookieRejected";
  code = "cookie_rejected";
};
var SessionClosed = class extends Failure {
  name = "SessionClosed";
  code = "session_closed";
  constructor() {
    super("This session is closed: make a new one");
  }
};
var DaypassError = Failure;

// src/timing.ts
var AHEAD = 0.2;
var FRESH = 1e3;
var GOOD_FOR = 5e3;
var DEADLINE = 1e4;
var ATTEMPT = 5e3;
var LONGEST_ATTEMPT = 1e4;
var PATIENCE = 4e3;
var AFTER_A_WAIT = 100;
var AT_THE_START = 30;
var LONGEST_TIMER = 2 ** 31 - 1;
var SHORTEST_TIMER = 500;
var LONGEST_RETRY_AFTER = 3e5;
var ATTEMPTS = 3;
var PAUSE = 200;
var BACKOFF = 1e3;
var LONGEST_BACKOFF = 32;
var wait = (span2, { retryAfter = 0 }) => Math.max(span2 * (1 + Math.random()) / 2, retryAfter);
function retryPause(outcome, attempts, left) {
  const pause = wait(PAUSE * 4 ** (attempts - 1), outcome);
  return outcome.unavailable && attempts < ATTEMPTS && pause < left ? pause : void 0;
}
var nextAttempt = (took) => Math.min(Math.max(2 * took, ATTEMPT), LONGEST_ATTEMPT);
var fruitless = (times) => Math.min(FRESH * 2 ** times, LONGEST_RETRY_AFTER);
var backoff = (failures, outcome) => wait(BACKOFF * Math.min(2 ** (failures - 1), LONGEST_BACKOFF), outcome);

// src/options.ts
function readOptions(given) {
  const { url = "/auth", origins = [], restore = true, ahead = AHEAD, fetch, shouldRefresh, ...unknown } = given;
  refuseUnknown(unknown);
  if (!(ahead >= 0 && ahead < 1)) refuse("ahead", ahead, "a number from 0 to below 1");
  const base = globalThis.location && baseURL();
  const asked = parse(url, base);
  const parsed = asked ?? parse(url, "http://localhost");
  if (!parsed) return refuse("url", url, "a URL such as '/auth'");
  const covered = origins.map((each) => {
    const { protocol, origin } = parse(each) ?? {};
    return isHTTP(protocol) ? origin : refuse("origins", each, "an origin such as 'https://api.example.com'");
  });
  const live = !!base && isHTTP(asked?.protocol);
  const full = parsed.href.replace(/\/+$/, "");
  return { url: full, restore, ahead, fetch, shouldRefresh, covered: live ? [parsed.origin, ...covered] : [], live };
}
function refuseUnknown(unknown) {
  for (const name in unknown) throw new TypeError(`unknown option '${name}'`);
}
var baseURL = () => globalThis.document?.baseURI ?? globalThis.location?.href;
function parse(url, base) {
  try {
    return new URL(url, base);
  } catch {
    return void 0;
  }
}
var isHTTP = (protocol) => /^https?:$/.test(protocol);
function refuse(name, value, expected) {
  throw new TypeError(`${name}: ${JSON.stringify(value)}: expected ${expected}`);
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
async function ask(core, path, limit, content) {
  try {
    const answer = await core.send(`${core.url}/${path}`, {
      method: "POST",
      credentials: "include",
      keepalive: true,
      // what it does to the cookie is done even if the page goes away meanwhile
      signal: AbortSignal.timeout(Math.ceil(limit)),
      ...content && { headers: { "content-type": "application/json" }, body: JSON.stringify(content) }
    });
    const { status, headers, ok } = answer;
    return { status, headers, ok, body: readObject(await answer.text()), said: `${path}: HTTP ${status}` };
  } catch (error) {
    return { status: 0, headers: new Headers(), said: `${path}: ${error.name}` };
  }
}
function readGrant(body) {
  const accessToken2 = body?.accessToken;
  if (!isAccessToken(accessToken2)) return void 0;
  const { exp, iat } = readClaims(accessToken2);
  return { accessToken: accessToken2, lifetime: span(body?.expiresIn) ?? span(exp - iat) };
}
var isAccessToken = (text) => typeof text === "string" && /^[!-~]+$/.test(text);
function judge({ status, ok, body, headers, said }) {
  const grant = ok && readGrant(body);
  if (grant) return { grant };
  const ends = status === 400 ? /^invalid_(grant|token)$/.test(body?.error) : status === 401 && body;
  if (ends && isBearers(headers.get("www-authenticate"))) return { reason: said };
  const retryAfter = readRetryAfter(headers);
  const { error: code, message: hint } = body ?? {};
  return { unavailable: said, code, hint: code && `${code}: ${hint}`, retryAfter: retryAfter && Math.min(retryAfter, LONGEST_RETRY_AFTER) };
}
function readRetryAfter(headers) {
  const after = headers.get("retry-after") ?? "";
  const now = Date.parse(headers.get("date") ?? "") || Date.now();
  return span(+after) ?? span((Date.parse(after) - now) / 1e3);
}
var refreshingCanHelp = (challenge) => isBearers(challenge) && !challenge?.includes("insufficient_scope");
var isBearers = (challenge) => !challenge || /(^|,)\s*bearer\b/i.test(challenge);
var span = (seconds) => typeof seconds === "number" && seconds > 0 ? seconds * 1e3 : void 0;

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
async function logout(core, { everywhere = false, ...unknown } = {}) {
  refuseUnknown(unknown);
  const note = everywhere ? EVERYWHERE : "logout";
  core.settle({ at: core.tick(), reason: "logout" });
  stored((storage) => storage.setItem(core.label, note));
  const said = await endSession(core, note);
  if (said) throw new RefreshUnavailable(said);
}
async function finishLogout(core) {
  const note = stored((storage) => storage.getItem(core.label));
  return note && endSession(core, note);
}
var forgetLogout = (core) => stored((storage) => storage.removeItem(core.label));
var EVERYWHERE = "everywhere";
async function endSession(core, note) {
  const sent = ask(core, "logout", DEADLINE, note === EVERYWHERE ? { everywhere: true } : void 0);
  const { ok, status, said } = await exclusive(core.label, 0, () => sent);
  return ok || status === 401 ? forgetLogout(core) : said;
}
function stored(use) {
  try {
    return use(localStorage);
  } catch {
    return void 0;
  }
}

// src/own_requests.ts
function ownEndpoint({ url }, asked) {
  const [, base, path] = /^([^?]+)\/(login|refresh|logout)(\?|$)/.exec(asked) ?? [];
  return base === url ? path : void 0;
}
function observe(core, path, text) {
  const grant = readGrant(readObject(text));
  if (grant) forgetLogout(core);
  else if (path !== "logout") return;
  core.settle({ at: core.tick(), grant, reason: path });
}

// src/clock.ts
function stopwatch(already) {
  const steady = performance.now();
  const wall = Date.now();
  return () => already + Math.max(performance.now() - steady, Date.now() - wall);
}
var sleep = (milliseconds) => new Promise((go) => setTimeout(go, milliseconds));

// src/refresh.ts
function refresh(core) {
  return core.refreshing ??= start(core).finally(() => {
    core.refreshing = void 0;
    core.plan();
  });
}
async function start(core) {
  const { at } = core;
  if (!at && await finishLogout(core)) {
    core.settle({ at: core.tick(), reason: "logout" });
    return void 0;
  }
  const end = performance.now() + 3 * core.attempt;
  const left = () => end - performance.now();
  const pausing = () => {
    const retryAfter = core.paused();
    return retryAfter > 0 ? { retryAfter } : void 0;
  };
  return pausing() ?? exclusive(core.label, PATIENCE, async (waited) => {
    if (waited || !at) await core.news(waited ? AFTER_A_WAIT : AT_THE_START);
    const rest = pausing();
    if (rest) return rest;
    for (let attempts = 1; core.at === at; attempts++) {
      const found = await present(core, Math.min(core.attempt, left()));
      const pause = retryPause(found, attempts, left());
      if (!pause) return conclude(core, found);
      await sleep(pause);
    }
    return void 0;
  });
}
async function present(core, limit) {
  const at = core.tick();
  const began = performance.now();
  const outcome = judge(await ask(core, "refresh", limit));
  core.attempt = nextAttempt(performance.now() - began);
  if (!outcome.unavailable) core.settle({ at, ...outcome });
  return outcome;
}
function conclude(core, outcome) {
  const { unavailable: reason, code, hint } = outcome;
  if (!reason) {
    core.failures = 0;
    return outcome;
  }
  const retryAfter = backoff(++core.failures, outcome);
  core.pause(retryAfter);
  core.post({ rest: retryAfter });
  core.emit("refreshFailed", { reason, retryAfter, code });
  if (!core.at && core.failures === 1) {
    console.warn(`daypass: ${core.url}/${reason}. ${hint ?? "Is the server there? Else set the option url"}`);
  }
  return { unavailable: reason, retryAfter };
}

// src/token.ts
function createToken({ accessToken: accessToken2, lifetime }, already, ahead) {
  const age = stopwatch(already);
  let life = lifetime ?? Infinity;
  let young = life * (1 - ahead * (1 - Math.random() / 2));
  return {
    accessToken: accessToken2,
    lifetime,
    user: readUser(accessToken2),
    age,
    left: () => life - age(),
    due: () => young - age(),
    isFresh: () => age() < Math.min(FRESH, life / 10),
    expire() {
      life = young = 0;
    }
  };
}
var isSameUser = (token, newer) => !!newer && newer.user?.subject === token.user?.subject;

// src/waiting.ts
function unlessAborted(waiting, ...signals) {
  const done = new AbortController();
  return new Promise((resolve, reject) => {
    for (const signal of signals) {
      const stop = () => reject(signal.reason);
      if (signal?.aborted) stop();
      signal?.addEventListener("abort", stop, { signal: done.signal });
    }
    waiting.then(resolve, reject);
  }).finally(() => done.abort());
}

// src/replay.ts
var MOST_REFUSALS = 100;
async function exchange(core, asked) {
  const url = core.cover(asked.url);
  if (!url) return asked.send();
  const path = ownEndpoint(core, url);
  if (path) {
    const answer = await asked.send();
    const { status, text } = asked.look(answer);
    if (status > 199 && status < 300) observe(core, path, await text());
    return answer;
  }
  core.closing.throwIfAborted();
  if (asked.refresh === false) return sendFor(core, asked, core.token?.accessToken);
  return sendWithToken(core, url, asked);
}
async function sendWithToken(core, url, asked) {
  const { repeatable, signal, reads, look } = asked;
  const token = await usableToken(core, signal, (token2) => !repeatable && token2.due() <= 0);
  const send = async (token2, earlier) => {
    const answer2 = await sendFor(core, asked, token2?.accessToken, earlier);
    const { status, from: from2, challenge: challenge2 } = look(answer2);
    const refused2 = await core.shouldRefresh?.(answer2) ?? (status === 401 && !!core.cover(from2 || url) && refreshingCanHelp(challenge2));
    if (!refused2 && token2) core.login.refusals.delete(place);
    return [answer2, refused2];
  };
  const [place] = url.split("?");
  const [answer, refused] = await send(token);
  if (!refused) return answer;
  if (!token) {
    if (core.token) return answer;
    throw new LoginRequired(core.reason, answer);
  }
  core.emit("unauthorized", { url });
  const { from, challenge } = look(answer);
  let newer = core.token;
  if (newer === token) {
    if (token.isFresh() || !helps(core.login, place, token)) return answer;
    if (challenge?.includes("invalid_token")) token.expire();
    newer = await renew(core, token, signal, () => repeatable, answer);
  }
  if (!isSameUser(token, newer)) throw new LoginRequired(core.reason, answer);
  const again = repeatable && (reads || !from || from === url);
  if (newer === token || !again) return answer;
  core.emit("replayed", { url });
  newer.used = true;
  const [last, still] = await send(newer, answer);
  if (still && !isSameUser(token, core.token)) throw new LoginRequired(core.reason, last);
  return last;
}
async function usableToken(core, signal, first) {
  let { token } = core;
  const expired = () => !token || token.left() <= 0;
  if (expired() ? token || !core.at : first(token)) token = await renew(core, token, signal, expired);
  else if (token && token.due() <= 0) void refresh(core);
  if (token) token.used = true;
  return token;
}
function sendFor({ login: login2 }, { reads, send }, token, earlier) {
  return reads || !token ? send(token, token ? login2.over : void 0, earlier) : login2.during(() => send(token, login2.settled, earlier));
}
function helps({ refusals }, place, token) {
  const now = performance.now();
  const known = refusals.get(place) ?? { times: 0, until: 0 };
  if (known.token === token) return true;
  if (now < known.until) return false;
  if (refusals.size >= MOST_REFUSALS) refusals.clear();
  const times = known.times + 1;
  refusals.set(place, { times, until: now + fruitless(times), token });
  return true;
}
async function renew(core, token, signal, dead, answer) {
  const outcome = await unlessAborted(refresh(core), signal, core.closing);
  if (token && !isSameUser(token, core.token)) throw new LoginRequired(core.reason, answer);
  if (core.token === token && (token || !core.at) && dead()) {
    throw new RefreshUnavailable(outcome?.unavailable ?? "refresh failed", outcome?.retryAfter);
  }
  return core.token;
}

// src/access.ts
async function accessToken(core, { goodFor = GOOD_FOR, ...unknown } = {}) {
  refuseUnknown(unknown);
  if (!(goodFor >= 0)) throw new TypeError(`goodFor: ${goodFor}: expected milliseconds`);
  const token = await usableToken(core, void 0, ({ left, lifetime = 0 }) => left() < Math.min(goodFor, lifetime / 2));
  if (!token) throw new LoginRequired(core.reason);
  return token.accessToken;
}

// src/events.ts
function createEvents() {
  const listeners = /* @__PURE__ */ new Set();
  return {
    on(name, listener) {
      const entry = [name, listener];
      listeners.add(entry);
      return () => void listeners.delete(entry);
    },
    emit(name, event) {
      for (const entry of listeners) {
        if (entry[0] === name) queueMicrotask(() => listeners.has(entry) && entry[1](event));
      }
    }
  };
}

// src/login_signal.ts
function createLoginSignal() {
  const over = new AbortController();
  const settled = new AbortController();
  let writes = 0;
  const settle = () => over.signal.aborted && !writes && settled.abort(over.signal.reason);
  return {
    refusals: /* @__PURE__ */ new Map(),
    over: over.signal,
    settled: settled.signal,
    during(write) {
      const sent = write();
      writes++;
      return sent.finally(() => {
        writes--;
        settle();
      });
    },
    end(reason) {
      over.abort(reason);
      settle();
    }
  };
}

// src/snapshot.ts
var UNKNOWN = Object.freeze({ status: "unknown", user: null, version: 0 });
function show(before, token) {
  const status = token ? "in" : "out";
  const user = token?.user ?? null;
  const same = JSON.stringify(user) === JSON.stringify(before.user);
  if (same && status === before.status) return before;
  return Object.freeze({ status, user: same ? before.user : user, version: before.version + 1 });
}

// src/state.ts
function createState(ahead, emit, changed) {
  let latest = 0;
  const state = {
    at: 0,
    token: void 0,
    reason: "",
    snapshot: UNKNOWN,
    login: createLoginSignal(),
    // the fraction keeps two tabs apart that act in the same millisecond
    tick: () => latest = Math.max(Date.now(), latest + 1) + Math.random(),
    settle(change, shared = false) {
      const { at, grant, age = 0, reason = "" } = change;
      latest = Math.max(latest, at);
      if (at <= state.at) return;
      const { token: before, snapshot, login: login2 } = state;
      const token = grant ? createToken(grant, age, ahead) : void 0;
      const shown = show(snapshot, token);
      Object.assign(state, { at, grant, token, reason, snapshot: shown });
      const same = before && isSameUser(before, token);
      if (before && !same) {
        state.login = createLoginSignal();
        login2.end(new LoginRequired(reason || "another user has logged in"));
      }
      if (shown !== snapshot) emit("change", shown);
      if (token) {
        const { lifetime } = token;
        emit(same ? "refreshed" : "loggedIn", { user: shown.user, lifetime, shared });
      } else if (before) emit("loggedOut", { reason, shared });
      changed(!shared && change);
    }
  };
  return state;
}

// src/core.ts
function createCore(options) {
  const { url, covered, ahead, fetch } = options;
  const events = createEvents();
  const closing = new AbortController();
  const native = globalThis.fetch;
  let until = 0;
  const state = createState(ahead, events.emit, (change) => {
    core.plan();
    if (change) core.post(change);
  });
  const core = Object.assign(state, events, options, {
    label: `daypass ${url}`,
    plan() {
    },
    failures: 0,
    attempt: ATTEMPT,
    closing: closing.signal,
    close(reason = new SessionClosed()) {
      core.at = Infinity;
      closing.abort(reason);
      core.plan();
    },
    send(input, init) {
      const now = globalThis.fetch;
      return (fetch ?? (now === core.own ? native : now)).call(globalThis, input, init);
    },
    cover(url2) {
      const { href, origin } = parse(url2, baseURL()) ?? {};
      return covered.includes(origin) ? href.split("#")[0] : void 0;
    },
    pause(milliseconds) {
      until = performance.now() + milliseconds;
    },
    paused: () => until - performance.now()
  });
  return core;
}
var listen = ({ closing }, type, listener) => globalThis.addEventListener?.(type, listener, { signal: closing });
var currentUser = (core) => core.snapshot.user;

// src/fetch.ts
function createFetch(core) {
  return async (input, init) => {
    if (!core.cover(input.url ?? input)) return core.send(input, init);
    const request = new Request(input, copyBody(init));
    const { method, mode, signal, url, referrer, referrerPolicy } = request;
    if (request.headers.has("authorization") || mode === "no-cors") return core.send(request);
    const reads = /^(GET|HEAD)$/.test(method);
    const repeatable = !(init?.body instanceof ReadableStream);
    const first = reads || !repeatable ? request : request.clone();
    return exchange(core, {
      url,
      reads,
      repeatable,
      signal,
      refresh: init?.refresh,
      send(token, login2, earlier) {
        void earlier?.body?.cancel();
        const sending = earlier ? request : first;
        if (token) sending.headers.set("authorization", `Bearer ${token}`);
        const ending = login2 && AbortSignal.any?.([signal, login2]);
        if (!ending) return core.send(sending);
        return core.send(sending, { signal: ending, referrer, referrerPolicy }).catch((error) => {
          throw ending.reason ?? error;
        });
      },
      look: (answer) => ({
        status: answer.status,
        from: answer.url,
        challenge: answer.headers.get("www-authenticate"),
        text: () => answer.clone().text()
      })
    });
  };
}
function copyBody(init) {
  const body = init?.body;
  if (body instanceof URLSearchParams) return { ...init, body: new URLSearchParams(body) };
  return body?.byteLength ? { ...init, body: new Blob([body]) } : init;
}

// src/login.ts
async function login(core, credentials) {
  await core.refreshing;
  return exclusive(core.label, PATIENCE, async () => {
    const { status, body, said } = await ask(core, "login", DEADLINE, credentials);
    const grant = readGrant(body);
    if (!grant) {
      if (status === 401) throw new CredentialsRejected();
      if (status > 399 && status < 429) throw new LoginRefused(`${said} ${body?.message ?? ""}`, body?.error);
      throw new RefreshUnavailable(said);
    }
    forgetLogout(core);
    core.pause(0);
    core.settle({ at: core.tick(), grant: await withCookie(core, grant) });
    return currentUser(core);
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

// src/schedule.ts
function schedule(core) {
  const signal = core.closing;
  let timer;
  const seen = () => globalThis.document?.visibilityState === "visible";
  const plan = () => {
    clearTimeout(timer);
    const { at, token, refreshing } = core;
    if (refreshing || signal.aborted || at && !token) return;
    const wait2 = Math.max(token?.due() ?? 0, core.paused(), SHORTEST_TIMER);
    if (wait2 < Infinity) timer = setTimeout(look, Math.min(wait2, LONGEST_TIMER));
  };
  const look = () => {
    const { at, token } = core;
    if (token && token.due() > 0) plan();
    else if (token ? token.used || seen() : !at) void refresh(core);
  };
  const wake = ({ type, persisted }) => {
    if (!seen()) return;
    if (type === "online") core.pause(0);
    core.ask();
    if (persisted) void refresh(core);
    else look();
  };
  core.plan = plan;
  for (const type of ["visibilitychange", "pageshow", "online"]) listen(core, type, wake);
}

// src/tabs.ts
var VERSION = 1;
var LATEST = 1e15;
function joinTabs(core) {
  let channel;
  let answered = () => {
  };
  const post = (message) => channel?.postMessage({ ...message, version: VERSION, sent: Date.now() });
  const ask2 = () => post({ ask: core.at });
  const receive = ({ data }) => {
    const message = Object(data);
    const { version = VERSION, ask: ask3, rest, sent } = message;
    if (version !== VERSION) return;
    if (isBetween(ask3, LATEST)) {
      const { at, token, grant, reason } = core;
      if (at > ask3 && (grant || reason)) post({ at, grant, age: token?.age(), reason });
      return;
    }
    if (isBetween(rest, LONGEST_RETRY_AFTER)) core.pause(rest);
    else if (isBetween(sent, LATEST) && isChange(message)) {
      core.settle({ ...message, age: (message.age ?? 0) + Math.max(0, Date.now() - sent) }, true);
    } else return;
    answered();
  };
  const leave = () => {
    channel?.close();
    channel = void 0;
  };
  const join = () => {
    leave();
    try {
      channel = new BroadcastChannel(core.label);
      channel.onmessage = receive;
    } catch {
    }
  };
  join();
  listen(core, "pagehide", leave);
  listen(core, "pageshow", join);
  core.closing.addEventListener("abort", leave);
  Object.assign(core, {
    post,
    ask: ask2,
    news: (wait2) => new Promise((go) => {
      answered = go;
      setTimeout(go, channel ? wait2 : 0);
      ask2();
    })
  });
}
var isBetween = (value, most) => typeof value === "number" && value >= 0 && value <= most;
function isChange({ at, grant, age = 0, reason }) {
  const { accessToken: accessToken2, lifetime = 1 } = Object(grant);
  const known = grant ? isAccessToken(accessToken2) && isBetween(lifetime, LATEST) : reason && typeof reason === "string";
  return !!known && isBetween(at, LATEST) && isBetween(age, LATEST);
}

// src/session.ts
function createSession(options = {}) {
  const core = createCore(readOptions(options));
  const unlessClosed = (work) => async (...rest) => {
    core.closing.throwIfAborted();
    return unlessAborted(work(core, ...rest), core.closing);
  };
  let ready;
  const session = {
    fetch: createFetch(core),
    get status() {
      return core.snapshot.status;
    },
    get user() {
      return currentUser(core);
    },
    get signal() {
      return core.login.over;
    },
    get ready() {
      return ready ??= unlessClosed(async () => core.at || renew2(core))().catch(() => {
      }).then(() => currentUser(core));
    },
    closed: core.closing,
    snapshot: () => core.snapshot,
    subscribe: (listener) => core.on("change", () => listener()),
    token: unlessClosed(accessToken),
    login: unlessClosed(login),
    logout: unlessClosed(logout),
    refresh: unlessClosed(renew2),
    exchange: (asked) => exchange(core, asked),
    socket: async (url, options2) => (await import("./socket.js")).openSocket(session, url, options2),
    events: async (url, options2) => (await import("./eventsource.js")).openEvents(session, url, options2),
    on: core.on,
    close: () => core.close()
  };
  core.own = session.fetch;
  if (!core.live) core.close(new RefreshUnavailable("No session outside of a web page"));
  else {
    joinTabs(core);
    schedule(core);
    if (!core.restore) core.settle({ at: 1 }, true);
    else if (globalThis.document) void session.ready;
  }
  return session;
}
async function renew2(core) {
  await refresh(core);
  return currentUser(core);
}

// src/install.ts
function installFetch(options = {}) {
  const before = globalThis.fetch;
  const session = createSession({ fetch: before, ...options });
  const { close } = session;
  const installed = async (input, init) => {
    try {
      return await session.fetch(input, init);
    } catch (error) {
      if (error instanceof LoginRequired) return error.response ?? new Response(null, { status: 401 });
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
export {
  CookieRejected,
  CredentialsRejected,
  DaypassError,
  LoginRefused,
  LoginRequired,
  RefreshUnavailable,
  SessionClosed,
  createSession,
  installFetch
};
//# sourceMappingURL=index.js.map
