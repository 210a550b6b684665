// src/errors.ts
var Failure = class extends Error {
  constructor(message, details) {
    super(message);
    Object.assign(this, details);
  }
  /** Give a class its name and its code; minified classes have none. */
  static named(name) {
    Object.assign(this.prototype, { name, code: name.replace(/\B[A-Z]/g, "_$&").toLowerCase() });
  }
};
var LoginRequired = class extends Failure {
  static {
    this.named("LoginRequired");
  }
};
var RefreshUnavailable = class extends Failure {
  static {
    this.named("RefreshUnavailable");
  }
};
var CredentialsRejected = class extends Failure {
  static {
    this.named("CredentialsRejected");
  }
};
var LoginRefused = class extends Failure {
  static {
    this.named("LoginRefused");
  }
};
var CookieRejected = class extends Failure {
  static {
    this.named("CookieRejected");
  }
};
var StepUpRequired = class extends Failure {
  static {
    this.named("StepUpRequired");
  }
};
var SessionClosed = class extends Failure {
  static {
    this.named("SessionClosed");
  }
};
var DaypassError = Failure;
var loginRequired = (reason, response) => new LoginRequired(`Login required: ${reason || "nobody is logged in"}`, { response });

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
var LONGEST_RETRY_AFTER = 3e5;
var ATTEMPTS = 3;
var PAUSE = 100;
var LONGEST_PAUSE = 32e3;
var backoff = (failures, { retryAfter = 0 }) => Math.max(Math.min(PAUSE * 2 ** failures, LONGEST_PAUSE) * (1 + Math.random()) / 2, retryAfter);
var nextAttempt = (took) => Math.min(Math.max(2 * took, ATTEMPT), LONGEST_ATTEMPT);
var fruitless = (times, { lifetime = Infinity }) => Math.min(FRESH * 2 ** times, times ? LONGEST_RETRY_AFTER : lifetime / 10);

// src/options.ts
function readOptions(given) {
  const { url = "/auth", origins = [], restore = true, ahead = AHEAD, dpop = false, warnBefore, idle, fetch, shouldRefresh, ...unknown } = given;
  refuseUnknown(unknown);
  if (!(ahead >= 0 && ahead < 1)) refuse("ahead", ahead, AHEAD);
  const asked = parse(url, baseURL());
  const { href, origin } = asked ?? parse(url, "http://localhost") ?? refuse("url", url, "/auth");
  const covered = origins.map((each) => {
    const parsed = parse(each);
    return isHTTP(parsed) ? parsed.origin : refuse("origins", each, "https://api.example.com");
  });
  const live = !!globalThis.location && isHTTP(asked);
  const rest = { restore, ahead, dpop, warnBefore, idle, fetch, shouldRefresh };
  return { url: href.replace(/\/+$/, ""), covered: live ? [origin, ...covered] : [], live, ...rest };
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
var isHTTP = (url) => /^https?:/.test(url?.protocol);
function refuse(name, value, example) {
  throw new TypeError(`${name}: ${JSON.stringify(value)}: expected a value such as ${example}`);
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
      const those = [...listeners].filter((entry) => entry[0] === name);
      for (const entry of those) queueMicrotask(() => listeners.has(entry) && entry[1](event));
      return those.length;
    }
  };
}

// src/parts.ts
var lazy = (load) => async (...all) => {
  const part = await load().catch(({ message }) => {
    throw new RefreshUnavailable(message);
  });
  return part.default(...all);
};
var login = lazy(() => import("./login.js"));
var schedule = lazy(() => import("./schedule.js"));
var observe = lazy(() => import("./own_requests.js"));
var openSocket = lazy(() => import("./socket.js"));
var openEvents = lazy(() => import("./eventsource.js"));
var ending = lazy(() => import("./ending.js"));
var prove = lazy(() => import("./dpop.js"));
var stepUp = lazy(() => import("./step_up.js"));

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
      writes++;
      return write().finally(() => {
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

// src/clock.ts
function stopwatch(already) {
  const steady = performance.now();
  const wall = Date.now();
  return () => already + Math.max(performance.now() - steady, Date.now() - wall);
}
var sleep = (milliseconds) => new Promise((go) => setTimeout(go, milliseconds));

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
    expire() {
      life = young = 0;
    }
  };
}
var isSameUser = (token, newer) => !!newer && newer.user?.subject === token.user?.subject;

// src/state.ts
function createState(ahead, emit, changed) {
  let latest = 0;
  const state = {
    at: 0,
    token: void 0,
    reason: "",
    snapshot: UNKNOWN,
    login: createLoginSignal(),
    // the fraction distinguishes two tabs that act in the same millisecond
    tick: () => latest = Math.max(Date.now(), latest + 1) + Math.random(),
    settle(change, shared = false) {
      const { at = state.tick(), grant, age = 0, reason = "", passive } = change;
      latest = Math.max(latest, at);
      if (at <= state.at) return;
      const { token: before, snapshot, login: login2 } = state;
      const token = grant ? createToken(grant, age, ahead) : void 0;
      const shown = show(snapshot, token);
      if (token) token.active = !!passive && (!before || !!before.active);
      Object.assign(state, { at, grant, token, reason, snapshot: shown });
      const same = before && isSameUser(before, token);
      if (before && !same) {
        state.login = createLoginSignal();
        login2.end(loginRequired(reason || "another user has logged in"));
      }
      if (shown !== snapshot) emit("change", shown);
      if (token) {
        emit(same ? "refreshed" : "loggedIn", { user: shown.user, lifetime: token.lifetime, shared });
      } else if (before) emit("loggedOut", { reason, shared });
      changed(!shared && { ...change, at });
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
    close(reason = new SessionClosed("This session is closed: make a new one")) {
      core.at = Infinity;
      closing.abort(reason);
      core.plan();
    },
    send(input, init) {
      const now = globalThis.fetch;
      const plain = fetch ?? (now === core.session.fetch ? native : now);
      return core.dpop ? prove(core, plain, input, init) : plain.call(globalThis, input, init);
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
var PASSIVE = "x-daypass-passive";
function noteUser({ token, post }) {
  if (!token || token.active) return;
  token.active = true;
  post({ active: true });
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
  const accessToken2 = body?.accessToken;
  if (!isAccessToken(accessToken2)) return void 0;
  const { exp, iat } = readClaims(accessToken2);
  return { accessToken: accessToken2, lifetime: span(body?.expiresIn) ?? span(exp - iat), ends: span(body?.refreshExpiresIn) };
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
  const note = JSON.stringify({ everywhere });
  core.settle({ reason: "logout" });
  stored((storage) => storage.setItem(core.label, note));
  const said = await endSession(core, note);
  if (said) throw new RefreshUnavailable(said);
}
async function finishLogout(core) {
  const note = stored((storage) => storage.getItem(core.label));
  return note && endSession(core, note);
}
var forgetLogout = (core) => stored((storage) => storage.removeItem(core.label));
async function endSession(core, note) {
  const sent = ask(core, "logout", DEADLINE, note);
  const { status, said } = await exclusive(core.label, 0, () => sent);
  return status && status < 300 || status === 401 ? forgetLogout(core) : said;
}
function stored(use) {
  try {
    return use(localStorage);
  } catch {
    return void 0;
  }
}

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
    core.settle({ reason: "logout" });
    return void 0;
  }
  return exclusive(core.label, PATIENCE, async (waited) => {
    if (waited || !at) await core.news(waited ? AFTER_A_WAIT : AT_THE_START);
    let retryAfter = core.paused();
    if (retryAfter > 0) return { retryAfter };
    const end = performance.now() + 3 * core.attempt;
    const left = () => end - performance.now();
    while (core.at === at) {
      const outcome = await present(core, Math.min(core.attempt, left()));
      if (!outcome.unavailable) return outcome;
      retryAfter = backoff(++core.failures, outcome);
      core.pause(retryAfter);
      if (core.failures >= ATTEMPTS || retryAfter >= left()) return fail(core, outcome, retryAfter);
      await sleep(retryAfter);
    }
    return void 0;
  });
}
async function present(core, limit) {
  const at = core.tick();
  const began = performance.now();
  const passive = !!core.grant && !!core.grant.ends && !core.token.active;
  const outcome = judge(await ask(core, "refresh", limit, void 0, passive ? { [PASSIVE]: "1" } : {}));
  core.attempt = nextAttempt(performance.now() - began);
  if (!outcome.unavailable) {
    core.failures = 0;
    core.settle({ at, passive, ...outcome });
  }
  return outcome;
}
function fail(core, { unavailable, code, message }, retryAfter) {
  const reason = unavailable;
  core.post({ rest: retryAfter });
  core.emit("refreshFailed", { reason, retryAfter, code, message });
  return { unavailable: reason, retryAfter };
}

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
var OWN = /^([^?]+)\/(login|refresh|logout)(\?|$)/;
var MOST_REFUSALS = 100;
async function exchange(core, asked) {
  const url = core.cover(asked.url);
  if (!url) return asked.send();
  const [, base, path] = OWN.exec(url) ?? [];
  if (base === core.url) {
    const answer = await asked.send();
    await observe(core, path, asked.look(answer)).catch(() => {
    });
    return answer;
  }
  core.closing.throwIfAborted();
  if (asked.refresh === false) return sendFor(core, asked, core.token?.accessToken);
  return sendWithToken(core, url, asked);
}
async function sendWithToken(core, url, asked) {
  const { repeatable, signal, reads, look } = asked;
  const token = await usableToken(core, asked, (token2) => !repeatable && token2.due() <= 0);
  const send = async (token2, earlier) => {
    const answer2 = await sendFor(core, asked, token2?.accessToken, earlier);
    const { status, from: from2, challenge: challenge2 } = look(answer2);
    const refused2 = await core.shouldRefresh?.(answer2) ?? (status === 401 && !!core.cover(from2 || url) && refreshingCanHelp(challenge2));
    if (!refused2 && token2) core.login.refusals.delete(place);
    return [answer2, refused2, from2, challenge2];
  };
  const place = url.replace(/\?.*/, "");
  const [answer, refused, from, challenge] = await send(token);
  if (!refused) return answer;
  if (!token) {
    if (core.token) return answer;
    throw loginRequired(core.reason, answer);
  }
  const again = repeatable && (reads || !from || from === url);
  let newer = core.token;
  if (challenge?.includes("insufficient_user")) {
    newer = await stepUp(core, "wait", { url, token, challenge, response: answer, again, signal });
  } else if (core.emit("unauthorized", { url }), newer === token) {
    if (!core.refreshing) {
      const { refusals } = core.login;
      const times = refusals.get(place) ?? 0;
      if (token.age() < fruitless(times, token)) return answer;
      if (refusals.size >= MOST_REFUSALS) refusals.clear();
      refusals.set(place, times + 1);
    }
    if (challenge?.includes("invalid_token")) token.expire();
    newer = await renew(core, token, signal, () => repeatable, answer);
  }
  if (!isSameUser(token, newer)) throw loginRequired(core.reason, answer);
  if (newer === token || !again) return answer;
  core.emit("replayed", { url });
  newer.used = true;
  const [last, still] = await send(newer, answer);
  if (still && !isSameUser(token, core.token)) throw loginRequired(core.reason, last);
  return last;
}
async function usableToken(core, { passive, signal }, first) {
  if (!passive && !core.idle) noteUser(core);
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
async function renew(core, token, signal, dead, answer) {
  const outcome = await unlessAborted(refresh(core), signal, core.closing);
  if (token && !isSameUser(token, core.token)) throw loginRequired(core.reason, answer);
  if (core.token === token && (token || !core.at) && dead()) {
    throw new RefreshUnavailable(outcome?.unavailable ?? "refresh failed", { retryAfter: outcome?.retryAfter });
  }
  return core.token;
}

// src/access.ts
async function accessToken(core, { goodFor = GOOD_FOR, passive, ...unknown } = {}) {
  refuseUnknown(unknown);
  if (!(goodFor >= 0)) refuse("goodFor", goodFor, GOOD_FOR);
  const token = await usableToken(core, { passive }, ({ left, lifetime = 0 }) => left() < Math.min(goodFor, lifetime / 2));
  if (!token) throw loginRequired(core.reason);
  return token.accessToken;
}

// src/fetch.ts
function createFetch(core) {
  return async (input, init) => {
    if (!core.cover(input.url ?? input)) return core.send(input, init);
    const request = new Request(input, copyBody(init));
    const { method, signal, url, referrer, referrerPolicy, headers } = request;
    if (init?.passive && url.startsWith(`${location.origin}/`)) headers.set(PASSIVE, "1");
    if (headers.has("authorization")) return core.send(request);
    const reads = /^(GET|HEAD)$/.test(method);
    const repeatable = !(init?.body instanceof ReadableStream);
    return exchange(core, {
      url,
      reads,
      repeatable,
      signal,
      refresh: init?.refresh,
      passive: init?.passive ?? headers.has(PASSIVE),
      send(token, login2, earlier) {
        void earlier?.body?.cancel();
        const sending = repeatable && !earlier ? request.clone() : request;
        if (token) sending.headers.set("authorization", `Bearer ${token}`);
        const ending2 = login2 && AbortSignal.any?.([signal, login2]);
        if (!ending2) return core.send(sending);
        ending2.onabort = () => {
        };
        return core.send(sending, { signal: ending2, referrer, referrerPolicy }).catch((error) => {
          throw ending2.reason ?? error;
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

// src/tabs.ts
var VERSION = 1;
var LATEST = 1e15;
function joinTabs(core) {
  let channel;
  let answered = () => {
  };
  const post = (message) => channel?.postMessage({ ...message, sent: Date.now() });
  const ask2 = () => post({ ask: core.at });
  const receive = ({ data }) => {
    const message = Object(data);
    const { version = VERSION, ask: ask3, rest, sent, active } = message;
    if (version !== VERSION) return;
    if (active === true && core.token) core.token.active = true;
    if (isBetween(ask3, LATEST)) {
      const { at, token, grant, reason } = core;
      if (at > ask3 && (grant || reason)) post({ at, grant, age: token?.age(), reason, passive: true });
      return;
    }
    if (isBetween(rest, LONGEST_RETRY_AFTER)) core.pause(rest);
    else if (isChange(message)) {
      core.settle({ ...message, age: (message.age ?? 0) + Math.max(0, Date.now() - sent) }, true);
    } else return;
    answered();
  };
  const join = (away) => {
    channel?.close();
    channel = void 0;
    if (away) return;
    try {
      channel = new BroadcastChannel(core.label);
      channel.onmessage = receive;
    } catch {
    }
  };
  join();
  listen(core, "pagehide", join);
  listen(core, "pageshow", () => join());
  core.closing.addEventListener("abort", join);
  Object.assign(core, {
    post,
    ask: ask2,
    news: (wait) => new Promise((go) => {
      answered = go;
      setTimeout(go, channel ? wait : 0);
      ask2();
    })
  });
}
var isBetween = (value, most) => typeof value === "number" && value >= 0 && value <= most;
function isChange({ at, grant, age = 0, reason, sent }) {
  const { accessToken: accessToken2, lifetime = 1, ends = 1 } = Object(grant);
  const known = grant ? isAccessToken(accessToken2) : reason && typeof reason === "string";
  return known && [at, age, lifetime, ends, sent].every((each) => isBetween(each, LATEST));
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
      return core.snapshot.user;
    },
    get signal() {
      return core.login.over;
    },
    get ready() {
      return ready ??= unlessClosed(async () => core.at || renew2(core))().catch(() => {
      }).then(() => core.snapshot.user);
    },
    closed: core.closing,
    snapshot: () => core.snapshot,
    subscribe: (listener) => session.on("change", listener),
    token: unlessClosed(accessToken),
    login: unlessClosed(login),
    logout: unlessClosed(logout),
    refresh: unlessClosed(renew2),
    extend: unlessClosed((core2) => ending(core2, "extend")),
    confirm: unlessClosed((core2, confirmation) => stepUp(core2, "confirm", confirmation)),
    exchange: (asked) => exchange(core, asked),
    socket: unlessClosed(openSocket),
    events: unlessClosed(openEvents),
    on(name, listener) {
      if (!core.live) return () => {
      };
      void { ending, stepUp }[name]?.(core);
      return core.on(name, listener);
    },
    close: () => core.close()
  };
  core.session = session;
  core.refresh = () => refresh(core);
  if (!core.live) core.close(new RefreshUnavailable("No session outside a page"));
  else {
    joinTabs(core);
    schedule(core).catch(() => {
    });
    if (!core.restore) core.settle({ at: 1 }, true);
    else if (globalThis.document) void session.ready;
  }
  return session;
}
async function renew2(core) {
  noteUser(core);
  await refresh(core);
  return core.snapshot.user;
}
export {
  CookieRejected,
  CredentialsRejected,
  DaypassError,
  LoginRefused,
  LoginRequired,
  RefreshUnavailable,
  SessionClosed,
  StepUpRequired,
  createSession
};
//# sourceMappingURL=index.js.map
