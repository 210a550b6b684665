/**
 * `session.events`: an `EventSource` over `session.fetch`. Loaded when it is first used.
 *
 *     the response                                 what happens
 *     200, of type text/event-stream               its events; at its end it connects again, with Last-Event-ID
 *     none, 408, 429, 5xx, RefreshUnavailable      it connects again, after growing pauses or as Retry-After says
 *     401 to a very new token                      it connects once more, when a 401 causes a refresh
 *     204                                          it ends: the server wants that
 *     anything else, LoginRequired                 it ends with an error
 */
import { readEvents } from "./event_fields.ts";
import { DaypassError, type Session, type SessionRequestInit } from "./index.ts";
import { baseURL, refuseUnknown } from "./options.ts";
import { pauseAfter, rest } from "./reconnecting.ts";
import { FRESH } from "./timing.ts";

export interface EventStreamOptions {
  /** Where the first request continues: the `Last-Event-ID` of an earlier stream. */
  lastEventId?: string;
  /** Milliseconds between two requests, until the server says otherwise; default 1000. */
  retry?: number;
  /** Further options of the request: `method`, `headers`, `body`, `credentials`, and all others of `fetch` except `signal`. */
  request?: Omit<SessionRequestInit, "signal" | "refresh">;
}

/** The events of an `EventStream`, besides the server's own types. */
export interface StreamEvents {
  /** A response has begun. */
  open: Event;
  /** An event of the server; an event of another type is fired under that type. */
  message: MessageEvent<string>;
  /** It connects again, or it has ended: see `readyState`. `error` is the reason, if there is one. */
  error: Event & { error: unknown };
}

/** An `EventSource` that sends the access token, renews it, and ends with its login. */
export interface EventStream extends EventTarget {
  readonly CONNECTING: 0;
  readonly OPEN: 1;
  readonly CLOSED: 2;
  readonly url: string;
  readonly readyState: number;
  /** Where the next request continues. */
  readonly lastEventId: string;
  onopen: ((event: Event) => unknown) | null;
  onmessage: ((event: MessageEvent<string>) => unknown) | null;
  onerror: ((event: StreamEvents["error"]) => unknown) | null;
  close(): void;
  addEventListener<N extends keyof StreamEvents>(type: N, listener: (event: StreamEvents[N]) => unknown, options?: boolean | AddEventListenerOptions): void;
  addEventListener(type: string, listener: ((event: MessageEvent<string>) => unknown) | EventListenerObject | null, options?: boolean | AddEventListenerOptions): void;
}

const [CONNECTING, OPEN, CLOSED] = [0, 1, 2] as const;
const RETRY = 1000;

const isStream = ({ status, headers }: Response) =>
  status === 200 && /^text\/event-stream\b/i.test(headers.get("content-type") ?? "");

class Stream extends EventTarget {
  readonly CONNECTING = CONNECTING;
  readonly OPEN = OPEN;
  readonly CLOSED = CLOSED;

  readonly url: string;
  readyState: number = CONNECTING;
  lastEventId: string;
  onopen: EventStream["onopen"] = null;
  onmessage: EventStream["onmessage"] = null;
  onerror: EventStream["onerror"] = null;

  readonly #session: Session;
  readonly #request: SessionRequestInit;
  readonly #over = new AbortController();
  #retry: number;

  constructor(session: Session, url: string | URL, options: EventStreamOptions) {
    super();
    const { lastEventId = "", retry = RETRY, request = {}, ...unknown } = options;
    refuseUnknown(unknown);
    if (!(retry >= 0)) throw new TypeError(`retry: ${retry}: expected milliseconds`);
    this.url = new URL(url, baseURL()).href;
    this.lastEventId = lastEventId;
    this.#session = session;
    this.#request = request;
    this.#retry = retry;
    new Request(this.url, { method: request.method ?? "GET", headers: this.#headers() }); // throws if they are invalid
    for (const type of ["open", "message", "error"] as const) {
      this.addEventListener(type, (event) => this[`on${type}`]?.(event as never));
    }
    for (const signal of [session.signal, session.closed]) {
      signal.addEventListener("abort", () => this.#end(signal.reason), { signal: this.#over.signal });
    }
    setTimeout(() => void this.#run()); // the caller listens first
  }

  close(): void {
    this.readyState = CLOSED;
    this.#over.abort();
  }

  /** Send requests until it has ended. */
  async #run(): Promise<void> {
    const { signal } = this.#over;
    let failures = 0;
    let refused = false;
    while (!signal.aborted) {
      let failure: unknown;
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
          const mayRefresh: boolean = answer.status === 401 && !refused;
          if (!mayRefresh && !/^(408|429|5..)$/.test(`${answer.status}`)) return this.#end(failure);
          refused = mayRefresh;
          least = mayRefresh ? FRESH : 1000 * Number(answer.headers.get("retry-after")) || 0;
        }
      } catch (error) {
        const { code, retryAfter = 0 } = error as { code?: string; retryAfter?: number };
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

  #headers(): Headers {
    const headers = new Headers(this.#request.headers);
    headers.set("accept", "text/event-stream");
    if (this.lastEventId) headers.set("last-event-id", this.lastEventId);
    return headers;
  }

  async #read({ body, url }: Response): Promise<void> {
    this.readyState = OPEN;
    this.#fire("open");
    const { origin } = new URL(url || this.url);
    const read = readEvents({
      id: (lastEventId) => (this.lastEventId = lastEventId),
      retry: (wait) => (this.#retry = wait),
      event: ({ type, data }) => {
        const { lastEventId } = this;
        if (this.readyState === OPEN) this.dispatchEvent(new MessageEvent(type, { data, lastEventId, origin }));
      },
    });
    const decoder = new TextDecoder();
    const reader = body!.getReader();
    for (let piece = await reader.read(); !piece.done; piece = await reader.read()) read(decoder.decode(piece.value, { stream: true }));
  }

  #end(error?: unknown): void {
    if (this.readyState === CLOSED) return;
    this.close();
    this.#fire("error", { error });
  }

  #fire(type: keyof StreamEvents, more?: object): void {
    this.dispatchEvent(Object.assign(new Event(type), more));
  }
}

/**
 * Read server-sent events for as long as the session's login lasts.
 *
 * @throws TypeError if an option is unknown or invalid.
 */
export default async ({ session }: { session: Session }, url: string | URL, options: EventStreamOptions = {}): Promise<EventStream> =>
  new Stream(session, url, options) as EventStream;
