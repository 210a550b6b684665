// src/event_fields.ts
function readEvents(take) {
  let rest2 = "";
  let type = "";
  let data = [];
  let id;
  const read = (line) => {
    if (line) {
      const [, name, value = ""] = /^([^:]*)(?:: ?(.*))?$/s.exec(line);
      if (name === "data") data.push(value);
      else if (name === "event") type = value;
      else if (name === "id" && !value.includes("\0")) id = value;
      else if (name === "retry" && /^\d+$/.test(value)) take.retry?.(+value);
      return;
    }
    const event = { type: type || "message", data: data.join("\n") };
    const some = data.length;
    if (id !== void 0) take.id?.(id);
    [type, data, id] = ["", [], void 0];
    if (some) take.event(event);
  };
  return (text) => {
    const lines = (rest2 + text).split(/\r\n|\n|\r(?!$)/);
    rest2 = lines.pop();
    for (const line of lines) read(line);
  };
}

// src/eventsource.ts
import { DaypassError } from "./index.js";

// src/timing.ts
var FRESH = 1e3;
var LONGEST_TIMER = 2 ** 31 - 1;

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

// src/eventsource.ts
var [CONNECTING, OPEN, CLOSED] = [0, 1, 2];
var RETRY = 1e3;
var isStream = ({ status, headers }) => status === 200 && /^text\/event-stream\b/i.test(headers.get("content-type") ?? "");
var Stream = class extends EventTarget {
  CONNECTING = CONNECTING;
  OPEN = OPEN;
  CLOSED = CLOSED;
  url;
  readyState = CONNECTING;
  lastEventId;
  onopen = null;
  onmessage = null;
  onerror = null;
  #session;
  #request;
  #over = new AbortController();
  #retry;
  constructor(session, url, options) {
    super();
    const { lastEventId = "", retry = RETRY, request = {}, ...unknown } = options;
    refuseUnknown(unknown);
    if (!(retry >= 0)) throw new TypeError(`retry: ${retry}: expected milliseconds`);
    this.url = new URL(url, baseURL()).href;
    this.lastEventId = lastEventId;
    this.#session = session;
    this.#request = request;
    this.#retry = retry;
    new Request(this.url, { method: request.method ?? "GET", headers: this.#headers() });
    for (const type of ["open", "message", "error"]) {
      this.addEventListener(type, (event) => this[`on${type}`]?.(event));
    }
    for (const signal of [session.signal, session.closed]) {
      signal.addEventListener("abort", () => this.#end(signal.reason), { signal: this.#over.signal });
    }
    setTimeout(() => void this.#run());
  }
  close() {
    this.readyState = CLOSED;
    this.#over.abort();
  }
  /** Send requests until it has ended. */
  async #run() {
    const { signal } = this.#over;
    let failures = 0;
    let refused = false;
    while (!signal.aborted) {
      let failure;
      let least = 0;
      try {
        const answer = await this.#session.fetch(this.url, { cache: "no-store", passive: true, ...this.#request, headers: this.#headers(), signal });
        if (isStream(answer)) {
          failures = 0;
          refused = false;
          await this.#read(answer);
        } else {
          void answer.body?.cancel();
          if (answer.status === 204) return this.#end();
          failure = new TypeError(`${this.url}: HTTP ${answer.status}: expected 200 and text/event-stream`);
          const mayRefresh = answer.status === 401 && !refused;
          if (!mayRefresh && !/^(408|429|5..)$/.test(`${answer.status}`)) return this.#end(failure);
          refused = mayRefresh;
          least = mayRefresh ? FRESH : 1e3 * Number(answer.headers.get("retry-after")) || 0;
        }
      } catch (error) {
        const { code, retryAfter = 0 } = error;
        const passes = code === "refresh_unavailable" ? !this.#session.closed.aborted : !(error instanceof DaypassError);
        if (!passes) return this.#end(error);
        failure = error;
        least = retryAfter;
      }
      if (signal.aborted) return;
      this.readyState = CONNECTING;
      this.#fire("error", { error: failure });
      await rest(failure ? Math.max(this.#retry + pauseAfter(failures++), least) : this.#retry, signal);
    }
  }
  #headers() {
    const headers = new Headers(this.#request.headers);
    headers.set("accept", "text/event-stream");
    if (this.lastEventId) headers.set("last-event-id", this.lastEventId);
    return headers;
  }
  async #read({ body, url }) {
    this.readyState = OPEN;
    this.#fire("open");
    const { origin } = new URL(url || this.url);
    const read = readEvents({
      id: (lastEventId) => this.lastEventId = lastEventId,
      retry: (wait) => this.#retry = wait,
      event: ({ type, data }) => {
        const { lastEventId } = this;
        if (this.readyState === OPEN) this.dispatchEvent(new MessageEvent(type, { data, lastEventId, origin }));
      }
    });
    const decoder = new TextDecoder();
    const reader = body.getReader();
    for (let piece = await reader.read(); !piece.done; piece = await reader.read()) read(decoder.decode(piece.value, { stream: true }));
  }
  #end(error) {
    if (this.readyState === CLOSED) return;
    this.close();
    this.#fire("error", { error });
  }
  #fire(type, more) {
    this.dispatchEvent(Object.assign(new Event(type), more));
  }
};
var eventsource_default = async ({ session }, url, options = {}) => new Stream(session, url, options);
export {
  eventsource_default as default
};
//# sourceMappingURL=eventsource.js.map
