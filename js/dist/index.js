// src/errors.ts
var Failure = class extends Error {
};
var LoginRequired = class extends Failure {
  name = "LoginRequired";
  code = "login_required";
  /** The answer that showed it, if there was one: a `Response`, or what axios made of it. */
  response;
  constructor(reason, response) {
    super(`Login required: ${reason || "nobody is logged in"}`);
    this.response = response;
  }
};
var RefreshUnavailable = class extends Failure {
  name = "RefreshUnavailable";
  code = "refresh_unavailable";
  /** Milliseconds after which it makes sense to try again, if known. */
  retryAfter;
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
  /** What the server called the reason, such as `insecure_transport`. */
  reason;
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
    super("This session was closed by close(): make a new one with createSession()");
  }
};
var DaypassError = Failure;

// src/timing.ts
var AHEAD = 0.2;
var FRESH = 1e3;
var GOOD_FOR = 5e3;
var DEADLINE = 1e4;
var ATTEMPT = 5e3;
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
var backoff = (failures, outcome) => wait(BACKOFF * Math.min(2 ** (failures - 1), LONGEST_BACKOFF), outcome);

// src/options.ts
function readOptions(given) {
  const { url = "/auth", origins = [], restore = true, ahead = AHEAD, fetch, shouldRefresh, ...unknown } = given;
  refuseUnknown(unknown);
  if (!(ahead >= 0 && ahead < 1)) refuse("ahead", ahead, "a number from 0 up to, but not including, 1");
  const base = globalThis.location && baseURL();
  const parsed = parse(url, base) ?? parse(url, "http://localhost");
  if (!parsed) return refuse("url", url, "a URL such as '/auth'");
  const covered = origins.map((each) => {
    const { protocol, origin } = parse(each) ?? {};
    return isHTTP(protocol) ? origin : refuse("origins", each, "an origin such as 'https://api.example.com'");
  });
  const live = !!base && isHTTP(parse(url, base)?.protocol);
  const full = parsed.href.replace(/\/+$/, "");
  return { url: full, origins, restore, ahead, fetch, shouldRefresh, covered: [parsed.origin, ...covered], live };
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

// src/clock.ts
function stopwatch(already = 0) {
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

// src/endpoints.ts
async function ask(core, path, limit, content) {
  try {
    const answer = await core.send(`${core.url}/${path}`, {
      method: "POST",
      credentials: "include",
      keepalive: true,
      // what it does to the cookie is done even if the page goes away meanwhile
      signal: AbortSignal.timeout(limit),
      ...content && { headers: { "content-type": "application/json" }, body: JSON.stringify(content) }
    });
    const { status, headers, ok } = answer;
    return { status, headers, ok, body: readObject(await answer.text()), said: `${path}: HTTP ${status}` };
  } catch (error) {
    return { status: 0, body: void 0, said: `${path}: ${error.name}` };
  }
}
function readGrant(body) {
  const accessToken2 = body?.accessToken;
  if (typeof accessToken2 !== "string" || !/^[!-~]+$/.test(accessToken2)) return void 0;
  const { exp, iat } = readClaims(accessToken2);
  return { accessToken: accessToken2, lifetime: span(body?.expiresIn) ?? span(exp - iat) };
}
function judge({ status, ok, body, headers, said }) {
  const grant = ok && readGrant(body);
  if (grant) return { grant };
  const ends = status === 400 ? /^invalid_(grant|token)$/.test(body?.error) : status === 401 && body;
  if (ends && isBearers(headers.get("www-authenticate"))) return { reason: said };
  const retryAfter = span(Number(headers?.get("retry-after")));
  const code = typeof body?.error === "string" ? body.error : void 0;
  return { unavailable: said, code, retryAfter: retryAfter && Math.min(retryAfter, LONGEST_RETRY_AFTER) };
}
var refreshingCanHelp = (challenge) => isBearers(challenge) && !challenge?.includes("insufficient_scope");
var isBearers = (challenge) => !challenge || /(^|,)\s*bearer\b/i.test(challenge);
var span = (seconds) => typeof seconds === "number" && seconds > 0 ? seconds * 1e3 : void 0;

// src/lock.ts
async function exclusive(name, patience, work) {
  const locks = globalThis.navigator?.locks;
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
  return !!note && !!await endSession(core, note);
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

// src/refresh.ts
function refresh(core) {
  return core.refreshing ??= start(core).finally(() => {
    core.refreshing = void 0;
    core.changed.forEach((each) => each());
  });
}
async function start(core) {
  const { at } = core;
  if (!at && await finishLogout(core)) {
    core.settle({ at: core.tick(), reason: "logout" });
    return void 0;
  }
  const end = performance.now() + DEADLINE;
  const pausing = () => {
    const retryAfter = core.paused();
    return retryAfter ? { unavailable: "refresh failed", retryAfter } : void 0;
  };
  return pausing() ?? exclusive(core.label, PATIENCE, async (waited) => {
    if (waited || !at) await core.news(waited ? AFTER_A_WAIT : AT_THE_START);
    let outcome = pausing();
    for (let attempts = 1; !outcome && core.at === at; attempts++) {
      const found = await present(core, Math.min(ATTEMPT, end - performance.now()));
      const pause = retryPause(found, attempts, end - performance.now());
      if (pause) await sleep(pause);
      else outcome = conclude(core, found);
    }
    return outcome;
  });
}
async function present(core, limit) {
  const at = core.tick();
  const outcome = judge(await ask(core, "refresh", limit));
  if (!outcome.unavailable) core.settle({ at, ...outcome });
  return outcome;
}
function conclude(core, outcome) {
  const { unavailable: reason, code } = outcome;
  if (!reason) {
    core.failures = 0;
    return outcome;
  }
  const retryAfter = backoff(++core.failures, outcome);
  core.pause(retryAfter);
  core.post({ rest: retryAfter });
  core.emit("refreshFailed", { reason, retryAfter, code });
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
async function sendWithToken(core, exchange) {
  const { url, repeatable, signal } = exchange;
  core.closing.throwIfAborted();
  let { token } = core;
  const due = token && token.due() <= 0;
  if (token ? token.left() <= 0 || due && !repeatable : !core.at) {
    token = await renew(core, token, signal, () => !token || token.left() <= 0);
  } else if (due) void refresh(core);
  if (token) token.used = true;
  const answer = await exchange.send(token?.accessToken);
  if (!await isRefused(core, exchange, answer)) return answer;
  if (!token) {
    if (core.token) return answer;
    throw new LoginRequired(core.reason, answer);
  }
  core.emit("unauthorized", { url });
  const [, from, challenge] = exchange.look(answer);
  let newer = core.token;
  if (newer === token) {
    if (token.isFresh()) return answer;
    if (challenge?.includes("invalid_token")) token.expire();
    newer = await renew(core, token, signal, () => repeatable);
  }
  if (!isSameUser(token, newer)) throw new LoginRequired(core.reason, answer);
  const again = repeatable && (exchange.reads || !from || from === url);
  if (newer === token || !again) return answer;
  core.emit("replayed", { url });
  newer.used = true;
  return exchange.send(newer.accessToken, answer);
}
async function isRefused({ shouldRefresh, cover }, { url, look }, answer) {
  const [status, from, challenge] = look(answer);
  return await shouldRefresh?.(answer) ?? (status === 401 && !!cover(from || url) && refreshingCanHelp(challenge));
}
async function renew(core, token, signal, dead) {
  const outcome = await unlessAborted(refresh(core), signal, core.closing);
  if (token && !isSameUser(token, core.token)) throw new LoginRequired(core.reason);
  if (core.token === token && (token || !core.at) && dead()) {
    throw new RefreshUnavailable(outcome?.unavailable ?? "refresh failed", outcome?.retryAfter);
  }
  return core.token;
}

// src/access.ts
async function accessToken(core, { goodFor = GOOD_FOR, ...unknown } = {}) {
  refuseUnknown(unknown);
  if (!(goodFor >= 0)) throw new TypeError(`goodFor: ${goodFor}: expected milliseconds`);
  let { token } = core;
  const left = token?.left() ?? 0;
  if (token ? left <= Math.min(goodFor, (token.lifetime ?? 0) / 2) : !core.at) {
    token = await renew(core, token, void 0, () => !token || token.left() <= 0);
  } else if (token && token.due() <= 0) void refresh(core);
  if (!token) throw new LoginRequired(core.reason);
  token.used = true;
  return token.accessToken;
}

// src/own_requests.ts
function ownEndpoint({ url }, asked) {
  return asked.startsWith(url) ? /^\/(login|refresh|logout)(\?|$)/.exec(asked.slice(url.length))?.[1] : void 0;
}
function observe(core, path, text) {
  const grant = readGrant(readObject(text));
  if (grant) forgetLogout(core);
  else if (path !== "logout") return;
  core.settle({ at: core.tick(), grant, reason: path });
}

// src/axios_adapter.ts
function createAdapter(core, instance) {
  const plain = { adapter: instance.defaults.adapter, transformRequest: [], transformResponse: [] };
  const bare = instance.create({});
  bare.defaults = { headers: {} };
  return async (config) => {
    let failure;
    const send = async (token) => {
      failure = void 0;
      const headers = { ...config.headers, ...token && { Authorization: `Bearer ${token}` } };
      const answer2 = await bare.request({ ...config, ...plain, headers }).catch((error) => {
        failure = error;
        error.config = config;
        if (!error.response) throw error;
        return error.response;
      });
      answer2.config = config;
      return answer2;
    };
    const url = core.cover(instance.getUri(config));
    const path = url && ownEndpoint(core, url);
    const direct = !url || path || config.headers.has("Authorization");
    const answer = await (direct ? send() : sendWithToken(core, {
      url,
      reads: /^(get|head)$/i.test(config.method),
      repeatable: !(config.data instanceof ReadableStream),
      signal: config.signal,
      send,
      look: ({ status, request, headers }) => [status, request?.responseURL, headers["www-authenticate"]]
    }));
    if (failure) throw failure;
    if (path) observe(core, path, answer.data);
    return answer;
  };
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

// src/snapshot.ts
var UNKNOWN = Object.freeze({ status: "unknown", user: null, version: 0 });
function createShown(emit) {
  let login2 = new AbortController();
  const shown = {
    snapshot: UNKNOWN,
    signal: login2.signal,
    show(status, user, ended) {
      const before = shown.snapshot;
      const same = JSON.stringify(user) === JSON.stringify(before.user);
      const changed = !same || status !== before.status;
      if (changed) {
        shown.snapshot = Object.freeze({ status, user: same ? before.user : user, version: before.version + 1 });
      }
      if (ended !== void 0) {
        const over = login2;
        login2 = new AbortController();
        shown.signal = login2.signal;
        over.abort(new LoginRequired(ended));
      }
      if (changed) emit("change", shown.snapshot);
    }
  };
  return shown;
}

// src/state.ts
function createState(ahead, emit, changed) {
  let latest = 0;
  const state = {
    at: 0,
    token: void 0,
    reason: "",
    shown: createShown(emit),
    // the fraction keeps two tabs apart that act in the same millisecond
    tick: () => latest = Math.max(Date.now(), latest + 1) + Math.random(),
    settle(change, shared = false) {
      const { at, grant, age = 0, reason = "" } = change;
      latest = Math.max(latest, at);
      if (at <= state.at) return;
      const before = state.token;
      const token = grant ? createToken(grant, age, ahead) : void 0;
      Object.assign(state, { at, token, reason });
      const same = before && isSameUser(before, token);
      const ended = before && !same ? reason || "another user has logged in" : void 0;
      state.shown.show(token ? "in" : "out", token?.user ?? null, ended);
      if (token) {
        const { lifetime } = token;
        emit(same ? "refreshed" : "loggedIn", { user: state.shown.snapshot.user, lifetime, shared });
      } else if (before) emit("loggedOut", { reason, shared });
      changed(!shared && change);
    }
  };
  return state;
}

// src/tabs.ts
function joinTabs(core) {
  const channel = new BroadcastChannel(core.label);
  let answered = () => {
  };
  const ask2 = () => channel.postMessage({ ask: core.at });
  const post = (message) => channel.postMessage({ ...message, sent: Date.now() });
  channel.onmessage = ({ data }) => {
    if ("ask" in data) {
      const { at, token, reason } = core;
      const grant = token && { accessToken: token.accessToken, lifetime: token.lifetime };
      if (at > data.ask) post({ at, grant, age: token?.age(), reason });
      return;
    }
    if ("rest" in data) core.pause(data.rest);
    else core.settle({ ...data, age: (data.age ?? 0) + Math.max(0, Date.now() - data.sent) }, true);
    answered();
  };
  core.closing.addEventListener("abort", () => channel.close());
  return {
    post,
    ask: ask2,
    news: (wait2) => new Promise((go) => {
      answered = go;
      setTimeout(go, wait2);
      ask2();
    })
  };
}

// src/core.ts
function createCore(options) {
  const { url, covered, ahead, fetch } = options;
  const changed = /* @__PURE__ */ new Set();
  const events = createEvents();
  const closing = new AbortController();
  const native = globalThis.fetch;
  let until = 0;
  const state = createState(ahead, events.emit, (change) => {
    changed.forEach((each) => each());
    if (change) core.post(change);
  });
  const core = Object.assign(state, events, options, {
    label: `daypass ${url}`,
    changed,
    failures: 0,
    closing: closing.signal,
    close: () => closing.abort(new SessionClosed()),
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
    paused: () => Math.max(0, until - performance.now())
  });
  return Object.assign(core, joinTabs(core));
}
var currentUser = (core) => core.shown.snapshot.user;

// src/fetch.ts
function createFetch(core) {
  return async (input, init) => {
    if (!core.cover(input.url ?? input)) return core.send(input, init);
    const request = new Request(input, init);
    const url = core.cover(request.url);
    if (!url || request.headers.has("authorization") || request.mode === "no-cors") return core.send(request);
    const path = ownEndpoint(core, url);
    if (path) {
      const answer = await core.send(request);
      if (answer.ok) observe(core, path, await answer.clone().text());
      return answer;
    }
    const authorize = (request2, token) => {
      if (token) request2.headers.set("authorization", `Bearer ${token}`);
      return core.send(request2);
    };
    if (init?.refresh === false) return authorize(request, core.token?.accessToken);
    const reads = /^(GET|HEAD)$/.test(request.method);
    const repeatable = !(init?.body instanceof ReadableStream);
    const first = reads || !repeatable ? request : request.clone();
    return sendWithToken(core, {
      url,
      reads,
      repeatable,
      signal: request.signal,
      send(token, earlier) {
        void earlier?.body?.cancel();
        return authorize(earlier ? request : first, token);
      },
      look: ({ status, url: url2, headers }) => [status, url2, headers.get("www-authenticate")]
    });
  };
}

// src/inert.ts
function inertSession({ fetch }) {
  const refuse2 = async () => {
    throw new RefreshUnavailable("There is no session outside of a web page");
  };
  const stop = () => {
  };
  return {
    fetch: async (input, init) => (fetch ?? globalThis.fetch)(input, init),
    status: UNKNOWN.status,
    user: null,
    ready: Promise.resolve(null),
    signal: new AbortController().signal,
    snapshot: () => UNKNOWN,
    subscribe: () => stop,
    token: refuse2,
    axios: (instance) => instance,
    login: refuse2,
    logout: refuse2,
    refresh: async () => null,
    on: () => stop,
    close: stop
  };
}

// src/login.ts
async function login(core, credentials) {
  await core.refreshing;
  return exclusive(core.label, PATIENCE, async () => {
    const { status, body, said } = await ask(core, "login", DEADLINE, credentials);
    const grant = readGrant(body);
    if (!grant) {
      if (status === 401) throw new CredentialsRejected();
      if (status > 399 && status < 429) throw new LoginRefused(said, body?.error);
      throw new RefreshUnavailable(said);
    }
    forgetLogout(core);
    core.pause(0);
    core.settle({ at: core.tick(), grant });
    return currentUser(core);
  });
}

// src/schedule.ts
function schedule(core) {
  const signal = core.closing;
  let timer;
  const seen = () => globalThis.document?.visibilityState !== "hidden";
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
  const wake = ({ type }) => {
    if (!seen()) return;
    if (type === "online") core.pause(0);
    core.ask();
    look();
  };
  core.changed.add(plan);
  for (const type of ["visibilitychange", "pageshow", "online"])
    globalThis.addEventListener?.(type, wake, { signal });
  signal.addEventListener("abort", plan);
}

// src/session.ts
function createSession(options = {}) {
  const read = readOptions(options);
  return read.live ? liveSession(createCore(read)) : inertSession(read);
}
function liveSession(core) {
  const unlessClosed = (work) => core.closing.aborted ? Promise.reject(core.closing.reason) : unlessAborted(work(), core.closing);
  const renew2 = async () => {
    await refresh(core);
    return currentUser(core);
  };
  schedule(core);
  const ready = new Promise((known) => {
    core.changed.add(() => (core.at || !core.refreshing) && known(currentUser(core)));
    core.closing.addEventListener("abort", () => known(null));
  });
  if (core.restore) void refresh(core);
  else core.settle({ at: 1 }, true);
  return {
    fetch: core.own = createFetch(core),
    get status() {
      return core.shown.snapshot.status;
    },
    get user() {
      return currentUser(core);
    },
    get signal() {
      return core.shown.signal;
    },
    ready,
    snapshot: () => core.shown.snapshot,
    subscribe: (listener) => core.on("change", () => listener()),
    token: (options) => unlessClosed(() => accessToken(core, options)),
    axios(instance) {
      instance.defaults.adapter = createAdapter(core, instance);
      return instance;
    },
    login: (credentials) => unlessClosed(() => login(core, credentials)),
    logout: (options) => unlessClosed(() => logout(core, options)),
    refresh: () => unlessClosed(renew2),
    on: core.on,
    close: core.close
  };
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
