// src/options.ts
function refuseUnknown(unknown) {
  for (const name in unknown) throw new TypeError(`unknown option '${name}'`);
}
var baseURL = () => globalThis.document?.baseURI ?? globalThis.location?.href;

// src/reconnecting.ts
var FIRST = 500;
var LONGEST = 3e4;
var pauseAfter = (failures) => Math.min(FIRST * 2 ** failures, LONGEST) * (1 + Math.random()) / 2;
function onWake(woken, signal) {
  const look = () => globalThis.document?.visibilityState !== "hidden" && woken();
  for (const type of ["online", "pageshow", "visibilitychange"]) globalThis.addEventListener?.(type, look, { signal });
}
function rest(milliseconds, signal) {
  return new Promise((go) => {
    if (signal.aborted) return go();
    const done = new AbortController();
    const end = () => {
      clearTimeout(timer);
      done.abort();
      go();
    };
    const timer = setTimeout(end, globalThis.navigator?.onLine === false ? LONGEST : milliseconds);
    if (milliseconds) onWake(end, done.signal);
    signal.addEventListener("abort", end, { signal: done.signal });
  });
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

// src/socket_wire.ts
var TOKEN = "daypass.token";
var ACCEPTED = '{"type":"daypass.accepted"';
var STEP_UP = "insufficient_user_authentication";
var AHEAD = 6e4;
var EXPIRED = 4401;
var ENDED = 4403;
var RESTART = 1012;
var TRY_AGAIN = 1013;
var LOST = { code: 1006, reason: "", wasClean: false };
var MISSING = { code: EXPIRED, reason: "token_missing", wasClean: false };
var tokenMessage = (accessToken, resume, proof) => JSON.stringify({ type: TOKEN, accessToken, resume, proof });
var tokenProtocols = (accessToken) => [TOKEN, `${TOKEN}.${accessToken}`];
function acceptedFor(data) {
  if (typeof data !== "string" || !data.startsWith(ACCEPTED)) return void 0;
  return Number(readObject(data)?.expiresIn ?? 60) * 1e3;
}
var ahead = (left) => Math.min(AHEAD, left / 5);
var needsStepUp = ({ code, reason }) => code === 1008 && reason.startsWith(STEP_UP);
var concernsSession = (close) => close.code === ENDED || needsStepUp(close);
function asResponse(close) {
  const error = needsStepUp(close) ? STEP_UP : close.code === EXPIRED || close.code === ENDED ? "invalid_token" : "";
  const needed = needsStepUp(close) ? close.reason.slice(STEP_UP.length) : "";
  const headers = { "www-authenticate": `Bearer error="${error}"${needed}` };
  return error ? new Response(null, { status: 401, headers }) : new Response(null, { status: 503 });
}
var isPassing = (close) => /^(1001|1005|1006|1011|1012|1013|1014|4401)$/.test(`${close.code}`) || concernsSession(close);

// src/user.ts
function readClaims(token) {
  try {
    const bytes = atob(token.split(".")[1].replace(/-/g, "+").replace(/_/g, "/"));
    return readObject(decodeURIComponent(escape(bytes))) ?? {};
  } catch {
    return {};
  }
}

// src/socket.ts
var ANSWER = 1e4;
var SOONEST = 500;
var LEAST = 1e3;
var STABLE = 5e3;
var QUIET = 3e4;
var QUEUE = 2 ** 20;
var [CONNECTING, OPEN, CLOSING, CLOSED] = [0, 1, 2, 3];
var Socket = class extends EventTarget {
  CONNECTING = CONNECTING;
  OPEN = OPEN;
  CLOSING = CLOSING;
  CLOSED = CLOSED;
  url;
  onopen = null;
  onmessage = null;
  onerror = null;
  onclose = null;
  #session;
  #options;
  #over = new AbortController();
  #state = CONNECTING;
  #binaryType = "blob";
  #connections = 0;
  #queue = [];
  #queued = 0;
  /** The current connection; the token that it was opened with; how it ended. */
  #raw;
  #token = "";
  #lasts;
  #ended = LOST;
  #lose = (_close) => {
  };
  /** When the last message came, by `performance.now()`. */
  #heard = 0;
  /** The timer of the next renewal, or of its answer. */
  #timer;
  constructor(session, url, options) {
    super();
    const { protocols, authenticate = "message", resume, reconnect, queue = QUEUE, ...unknown } = options;
    refuseUnknown(unknown);
    if (!/^(message|subprotocol)$/.test(authenticate)) throw invalid("authenticate", authenticate, "'message' or 'subprotocol'");
    if (resume && authenticate !== "message") throw invalid("authenticate", authenticate, "'message', with resume");
    if (!(queue >= 0)) throw invalid("queue", queue, "a number of bytes");
    const full = new URL(url, baseURL());
    full.protocol = full.protocol.replace("http", "ws");
    if (!/^wss?:$/.test(full.protocol)) throw invalid("url", url, "a URL such as '/notes'");
    this.url = full.href.split("#")[0];
    this.#session = session;
    this.#options = options;
    for (const type of ["open", "message", "error", "close"]) {
      super.addEventListener(type, (event) => this[`on${type}`]?.(event));
    }
    for (const signal of [session.signal, session.closed]) {
      signal.addEventListener("abort", () => this.#fail(signal.reason), { signal: this.#over.signal });
    }
    onWake(() => this.#state === OPEN && performance.now() - this.#heard > QUIET && void this.#renew(0), this.#over.signal);
    setTimeout(() => void this.#run().catch((error) => this.#fail(error)));
  }
  get readyState() {
    return this.#state;
  }
  get protocol() {
    return this.#raw?.protocol ?? "";
  }
  get extensions() {
    return this.#raw?.extensions ?? "";
  }
  get bufferedAmount() {
    return this.#queued + (this.#raw?.bufferedAmount ?? 0);
  }
  get binaryType() {
    return this.#binaryType;
  }
  set binaryType(type) {
    this.#binaryType = type;
    if (this.#raw) this.#raw.binaryType = type;
  }
  send(data) {
    if (this.#state === OPEN) return this.#raw.send(data);
    if (this.#state !== CONNECTING) return;
    const { queue = QUEUE } = this.#options;
    const kept = typeof data === "string" || data instanceof Blob ? data : copy(data);
    const size = sizeOf(kept);
    if (this.#queued + size > queue) throw new DOMException(`More than ${queue} bytes wait to be sent`, "QuotaExceededError");
    this.#queue.push(kept);
    this.#queued += size;
  }
  close(code, reason) {
    if (this.#state >= CLOSING) return;
    if (this.#state === CONNECTING) return this.#end({ ...LOST, reason: reason ?? "" });
    this.#raw.close(code, reason);
    this.#state = CLOSING;
  }
  /** Connect again and again until it has ended. */
  async #run() {
    let failures = 0;
    while (this.#state < CLOSING) {
      const connections = this.#connections;
      const began = performance.now();
      let least = 0;
      try {
        await this.#connection();
      } catch (error) {
        const { code, retryAfter = 0 } = error;
        if (code !== "refresh_unavailable" || this.#session.closed.aborted) return this.#fail(error);
        least = retryAfter;
      }
      const ended = this.#ended;
      if (this.#state >= CLOSING || !this.#connectsAgain()) return this.#end(ended);
      this.#state = CONNECTING;
      if (this.#connections > connections && performance.now() - began > STABLE) failures = 0;
      if (concernsSession(ended) && !failures++) continue;
      if (ended.code === TRY_AGAIN) failures = Math.max(failures, 2);
      const wait = Math.max(pauseAfter(failures++), least);
      this.#fire("reconnecting", { ...ended, wait });
      await rest(wait, this.#over.signal);
    }
  }
  #connectsAgain() {
    const { reconnect } = this.#options;
    const decided = typeof reconnect === "function" ? reconnect(this.#ended) : reconnect;
    return decided ?? isPassing(this.#ended);
  }
  /** Keep one connection, by the session's rules, until it ends. */
  async #connection() {
    let refused = concernsSession(this.#ended) ? this.#ended : void 0;
    const before = this.#token;
    this.#ended = LOST;
    let accepted = false;
    await this.#session.exchange({
      url: this.url.replace("ws", "http"),
      reads: true,
      repeatable: true,
      passive: this.#connections > 0,
      // no further connection was requested
      signal: this.#over.signal,
      send: async (token) => {
        if (!token && this.#session.status === "in") throw invalid("url", this.url, "one of the session's origins");
        const known = token === before ? refused : void 0;
        refused = void 0;
        if (token && !known) {
          accepted = await this.#open(token);
          if (accepted) return new Response();
        } else this.#ended = known ?? MISSING;
        return asResponse(this.#ended);
      },
      look: ({ status, headers }) => ({ status, from: void 0, challenge: headers.get("www-authenticate"), text: () => "" })
    });
    if (accepted) await this.#lasts;
  }
  /** Return the proof that a token bound to a key needs; it goes into the first message, and into no subprotocol. */
  async #proof(token) {
    if (this.#options.authenticate === "subprotocol") throw invalid("authenticate", "subprotocol", "'message', with dpop");
    const { headersFor } = await import("./dpop.js");
    return (await headersFor(this.#session, "GET", this.url.replace("ws", "http"), token))["dpop"];
  }
  /** Open a connection; resolves once the server has accepted the token, or the connection has ended without that. */
  async #open(token) {
    const { protocols = [], authenticate, resume } = this.#options;
    const offered = [protocols].flat();
    if (authenticate === "subprotocol") offered.push(...tokenProtocols(token));
    const proof = readClaims(token)["cnf"] ? await this.#proof(token) : void 0;
    if (this.#state === CLOSED) return false;
    const first = tokenMessage(token, resume?.(), proof);
    const raw = new WebSocket(this.url, offered);
    raw.binaryType = this.#binaryType;
    this.#raw = raw;
    this.#token = token;
    return new Promise((resolve) => {
      let accepted = false;
      this.#lasts = new Promise((over) => {
        this.#lose = ({ code, reason, wasClean }) => {
          raw.onopen = raw.onmessage = raw.onclose = null;
          raw.close();
          clearTimeout(this.#timer);
          this.#ended = { code, reason, wasClean };
          resolve(accepted);
          over();
        };
      });
      raw.onclose = this.#lose;
      raw.onopen = () => authenticate !== "subprotocol" && raw.send(first);
      raw.onmessage = (event) => {
        this.#heard = performance.now();
        const left = acceptedFor(event.data);
        if (left === void 0) return void this.dispatchEvent(new MessageEvent("message", { data: event.data, origin: event.origin }));
        const ahead2 = ahead(left);
        this.#after(Math.max(left - ahead2, SOONEST), () => void this.#renew(2 * ahead2, left >= LEAST));
        if (!accepted) {
          accepted = true;
          this.#begin(raw);
          resolve(true);
        }
      };
      this.#after(ANSWER, () => this.#lose(LOST));
    });
  }
  /** Continue: the application repeats its messages first, then the kept ones are sent. */
  #begin(raw) {
    this.#state = OPEN;
    this.#fire(this.#connections++ ? "reconnected" : "open");
    const queue = this.#queue;
    this.#queue = [];
    this.#queued = 0;
    if (this.#state === OPEN) for (const each of queue) raw.send(each);
  }
  /**
   * Send a token that is valid for this many milliseconds; the answer shows that the connection still works.
   *
   * @param newer whether it has to be another one, because it expires sooner at the server than the session thinks.
   */
  async #renew(goodFor, newer = false) {
    const raw = this.#raw;
    try {
      let token = await this.#session.token({ goodFor, passive: true });
      if (newer && token === this.#token && raw === this.#raw) {
        await this.#session.refresh();
        token = await this.#session.token({ passive: true });
      }
      if (raw !== this.#raw || this.#state !== OPEN) return;
      this.#token = token;
      raw.send(tokenMessage(token));
    } catch (error) {
      const { code, retryAfter = ANSWER } = error;
      if (code !== "refresh_unavailable") return this.#fail(error);
      if (raw === this.#raw) this.#after(retryAfter, () => void this.#renew(goodFor));
      return;
    }
    const sent = performance.now();
    this.#after(ANSWER, () => this.#heard > sent ? void this.#renew(goodFor) : this.#lose(LOST));
  }
  #after(milliseconds, work) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(work, milliseconds);
  }
  #fail(error) {
    const { code, name } = Object(error);
    if (this.#state !== CLOSED) this.#fire("error", { error });
    const reason = typeof code === "string" ? code : `${name}`;
    this.#end({ ...LOST, code: reason === "login_required" ? ENDED : LOST.code, reason });
  }
  #end(close) {
    if (this.#state === CLOSED) return;
    this.#state = CLOSED;
    this.#queue = [];
    this.#queued = 0;
    this.#over.abort();
    this.#lose(LOST);
    const code = close.code === EXPIRED && this.#options.reconnect === false ? RESTART : close.code;
    this.#fire("close", { ...close, code });
  }
  #fire(type, more) {
    this.dispatchEvent(Object.assign(new Event(type), more));
  }
};
var socket_default = async ({ session }, url, options = {}) => new Socket(session, url, options);
function webSocketImpl(session, options = {}) {
  return class extends Socket {
    static CONNECTING = CONNECTING;
    static OPEN = OPEN;
    static CLOSING = CLOSING;
    static CLOSED = CLOSED;
    constructor(url, protocols = []) {
      super(session, url, { ...options, protocols, reconnect: false });
    }
  };
}
var sizeOf = (data) => typeof data === "string" ? data.length : data instanceof Blob ? data.size : data.byteLength;
var copy = (data) => (ArrayBuffer.isView(data) ? new Uint8Array(data.buffer, data.byteOffset, data.byteLength) : new Uint8Array(data)).slice().buffer;
var invalid = (name, value, expected) => new TypeError(`${name}: ${JSON.stringify(value)}: expected ${expected}`);
export {
  socket_default as default,
  webSocketImpl
};
//# sourceMappingURL=socket.js.map
