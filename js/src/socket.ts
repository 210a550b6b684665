/**
 * `session.socket`: a WebSocket that lasts as long as the login. Loaded when it is first used.
 *
 *     closed with                       what happens
 *     4401, 1001, 1005, 1006, 1011-14   it connects again, after growing pauses
 *     4403                              a refresh, then it connects again or ends with LoginRequired
 *     1008, step-up                     the session's step-up, then it connects again
 *     anything else                     it ends: the server wants that
 *
 * Each attempt to connect is an exchange of the session, so all rules for tokens are those of requests.
 */
import type { Session } from "./index.ts";
import { baseURL, refuseUnknown } from "./options.ts";
import { onWake, pauseAfter, rest } from "./reconnecting.ts";
import * as wire from "./socket_wire.ts";
import { readClaims } from "./user.ts";
import type { SocketClose } from "./socket_wire.ts";

export type { SocketClose } from "./socket_wire.ts";

export type SocketData = string | ArrayBuffer | ArrayBufferView | Blob;

export interface SocketOptions {
  /** As in `new WebSocket(url, protocols)`. */
  protocols?: string | readonly string[];
  /** How the access token is sent: in the first message, or as a subprotocol; default `"message"`. */
  authenticate?: "message" | "subprotocol";
  /** Return the position at which the server has to continue, such as the number of the last message. Sent with the token. */
  resume?: () => unknown;
  /** Whether to connect again after this end; by default, and for `undefined`, the close code decides. */
  reconnect?: boolean | ((close: SocketClose) => boolean | undefined);
  /** Bytes that are kept to be sent while there is no connection; default 1 MiB. */
  queue?: number;
}

/** The events of a `SessionSocket`. */
export interface SocketEvents {
  /** The first connection: the server has accepted the access token. */
  open: Event;
  message: MessageEvent;
  /** The connection was lost or could not be opened; the next attempt is after at most `wait` milliseconds. */
  reconnecting: Event & SocketClose & { wait: number };
  /** A further connection: send again what the server has not acknowledged. */
  reconnected: Event;
  /** Just before `close`. `error` is `LoginRequired`, `SessionClosed`, or an error of `resume` or `reconnect`. */
  error: Event & { error: unknown };
  /** It has ended, and does not reconnect. */
  close: Event & SocketClose;
}

/** A WebSocket for one login, which reconnects; it has everything that `WebSocket` has. */
export interface SessionSocket extends EventTarget {
  readonly CONNECTING: 0;
  readonly OPEN: 1;
  readonly CLOSING: 2;
  readonly CLOSED: 3;
  readonly url: string;
  /** Also `CONNECTING` between two connections. */
  readonly readyState: number;
  readonly protocol: string;
  readonly extensions: string;
  /** Bytes that were not sent yet, including those that wait for a connection. */
  readonly bufferedAmount: number;
  binaryType: BinaryType;
  onopen: ((event: Event) => unknown) | null;
  onmessage: ((event: MessageEvent) => unknown) | null;
  onerror: ((event: SocketEvents["error"]) => unknown) | null;
  onclose: ((event: SocketEvents["close"]) => unknown) | null;
  /**
   * Send data; without a connection, keep it until there is one. Kept data are sent once, in order.
   *
   * @throws DOMException `QuotaExceededError` if that would be more than `queue` bytes.
   */
  send(data: SocketData): void;
  /** Close it, without a reconnection. */
  close(code?: number, reason?: string): void;
  addEventListener<N extends keyof SocketEvents>(type: N, listener: (event: SocketEvents[N]) => unknown, options?: boolean | AddEventListenerOptions): void;
  addEventListener(type: string, listener: EventListenerOrEventListenerObject | null, options?: boolean | AddEventListenerOptions): void;
}

/** Milliseconds that the server may take to answer. */
const ANSWER = 10_000;
/** Milliseconds between two renewals, if the server accepts no token of the session for longer. */
const SOONEST = 500;
/** A token that the server accepts for less than this many milliseconds is replaced only when the session has a new one. */
const LEAST = 1000;
/** After a connection of this many milliseconds, the next pause is the shortest again. */
const STABLE = 5000;
/** When the page wakes, a connection that was silent for this many milliseconds is checked. */
const QUIET = 30_000;
const QUEUE = 2 ** 20;

const [CONNECTING, OPEN, CLOSING, CLOSED] = [0, 1, 2, 3] as const;

class Socket extends EventTarget implements SessionSocket {
  readonly CONNECTING = CONNECTING;
  readonly OPEN = OPEN;
  readonly CLOSING = CLOSING;
  readonly CLOSED = CLOSED;

  readonly url: string;
  onopen: SessionSocket["onopen"] = null;
  onmessage: SessionSocket["onmessage"] = null;
  onerror: SessionSocket["onerror"] = null;
  onclose: SessionSocket["onclose"] = null;

  readonly #session: Session;
  readonly #options: SocketOptions;
  readonly #over = new AbortController();
  #state: number = CONNECTING;
  #binaryType: BinaryType = "blob";
  #connections = 0;
  #queue: SocketData[] = [];
  #queued = 0;
  /** The current connection; the token that it was opened with; how it ended. */
  #raw: WebSocket | undefined;
  #token = "";
  #lasts: Promise<void> | undefined;
  #ended = wire.LOST;
  #lose = (_close: SocketClose): void => {};
  /** When the last message came, by `performance.now()`. */
  #heard = 0;
  /** The timer of the next renewal, or of its answer. */
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(session: Session, url: string | URL, options: SocketOptions) {
    super();
    const { protocols, authenticate = "message", resume, reconnect, queue = QUEUE, ...unknown } = options;
    refuseUnknown(unknown);
    if (!/^(message|subprotocol)$/.test(authenticate)) throw invalid("authenticate", authenticate, "'message' or 'subprotocol'");
    if (resume && authenticate !== "message") throw invalid("authenticate", authenticate, "'message', with resume");
    if (!(queue >= 0)) throw invalid("queue", queue, "a number of bytes");
    const full = new URL(url, baseURL());
    full.protocol = full.protocol.replace("http", "ws");
    if (!/^wss?:$/.test(full.protocol)) throw invalid("url", url, "a URL such as '/notes'");
    this.url = full.href.split("#")[0]!;
    this.#session = session;
    this.#options = options;
    for (const type of ["open", "message", "error", "close"] as const) {
      super.addEventListener(type, (event) => this[`on${type}`]?.(event as never));
    }
    for (const signal of [session.signal, session.closed]) {
      signal.addEventListener("abort", () => this.#fail(signal.reason), { signal: this.#over.signal });
    }
    onWake(() => this.#state === OPEN && performance.now() - this.#heard > QUIET && void this.#renew(0), this.#over.signal);
    setTimeout(() => void this.#run().catch((error) => this.#fail(error))); // the caller listens first
  }

  get readyState(): number {
    return this.#state;
  }

  get protocol(): string {
    return this.#raw?.protocol ?? "";
  }

  get extensions(): string {
    return this.#raw?.extensions ?? "";
  }

  get bufferedAmount(): number {
    return this.#queued + (this.#raw?.bufferedAmount ?? 0);
  }

  get binaryType(): BinaryType {
    return this.#binaryType;
  }

  set binaryType(type: BinaryType) {
    this.#binaryType = type;
    if (this.#raw) this.#raw.binaryType = type;
  }

  send(data: SocketData): void {
    if (this.#state === OPEN) return this.#raw!.send(data as string);
    if (this.#state !== CONNECTING) return; // as `WebSocket` does
    const { queue = QUEUE } = this.#options;
    const kept = typeof data === "string" || data instanceof Blob ? data : copy(data);
    const size = sizeOf(kept);
    if (this.#queued + size > queue) throw new DOMException(`More than ${queue} bytes wait to be sent`, "QuotaExceededError");
    this.#queue.push(kept);
    this.#queued += size;
  }

  close(code?: number, reason?: string): void {
    if (this.#state >= CLOSING) return;
    if (this.#state === CONNECTING) return this.#end({ ...wire.LOST, reason: reason ?? "" });
    this.#raw!.close(code, reason);
    this.#state = CLOSING;
  }

  /** Connect again and again until it has ended. */
  async #run(): Promise<void> {
    let failures = 0;
    while (this.#state < CLOSING) {
      const connections = this.#connections;
      const began = performance.now();
      let least = 0;
      try {
        await this.#connection();
      } catch (error) {
        const { code, retryAfter = 0 } = error as { code?: string; retryAfter?: number };
        if (code !== "refresh_unavailable" || this.#session.closed.aborted) return this.#fail(error);
        least = retryAfter;
      }
      const ended = this.#ended;
      if (this.#state >= CLOSING || !this.#connectsAgain()) return this.#end(ended);
      this.#state = CONNECTING;
      if (this.#connections > connections && performance.now() - began > STABLE) failures = 0;
      if (wire.concernsSession(ended) && !failures++) continue; // the session decides at once
      if (ended.code === wire.TRY_AGAIN) failures = Math.max(failures, 2);
      const wait = Math.max(pauseAfter(failures++), least);
      this.#fire("reconnecting", { ...ended, wait });
      await rest(wait, this.#over.signal);
    }
  }

  #connectsAgain(): boolean {
    const { reconnect } = this.#options;
    const decided = typeof reconnect === "function" ? reconnect(this.#ended) : reconnect;
    return decided ?? wire.isPassing(this.#ended);
  }

  /** Keep one connection, by the session's rules, until it ends. */
  async #connection(): Promise<void> {
    // the session handles the end of the last connection before another one uses the same token
    let refused = wire.concernsSession(this.#ended) ? this.#ended : undefined;
    const before = this.#token;
    this.#ended = wire.LOST;
    let accepted = false;
    await this.#session.exchange<Response>({
      url: this.url.replace("ws", "http"),
      reads: true,
      repeatable: true,
      passive: this.#connections > 0, // no further connection was requested
      signal: this.#over.signal,
      send: async (token) => {
        if (!token && this.#session.status === "in") throw invalid("url", this.url, "one of the session's origins");
        const known = token === before ? refused : undefined;
        refused = undefined;
        if (token && !known) {
          accepted = await this.#open(token);
          if (accepted) return new Response();
        } else this.#ended = known ?? wire.MISSING;
        return wire.asResponse(this.#ended);
      },
      look: ({ status, headers }) => ({ status, from: undefined, challenge: headers.get("www-authenticate"), text: () => "" }),
    });
    if (accepted) await this.#lasts;
  }

  /** Return the proof that a token bound to a key needs; it goes into the first message, and into no subprotocol. */
  async #proof(token: string): Promise<string> {
    if (this.#options.authenticate === "subprotocol") throw invalid("authenticate", "subprotocol", "'message', with dpop");
    const { headersFor } = await import("./dpop.ts");
    return (await headersFor(this.#session, "GET", this.url.replace("ws", "http"), token))["dpop"]!;
  }

  /** Open a connection; resolves once the server has accepted the token, or the connection has ended without that. */
  async #open(token: string): Promise<boolean> {
    const { protocols = [], authenticate, resume } = this.#options;
    const offered = [protocols].flat();
    if (authenticate === "subprotocol") offered.push(...wire.tokenProtocols(token));
    const proof = readClaims(token)["cnf"] ? await this.#proof(token) : undefined;
    if (this.#state === CLOSED) return false;
    const first = wire.tokenMessage(token, resume?.(), proof);
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
        const left = wire.acceptedFor(event.data);
        if (left === undefined) return void this.dispatchEvent(new MessageEvent("message", { data: event.data, origin: event.origin }));
        const ahead = wire.ahead(left);
        this.#after(Math.max(left - ahead, SOONEST), () => void this.#renew(2 * ahead, left >= LEAST));
        if (!accepted) {
          accepted = true;
          this.#begin(raw);
          resolve(true);
        }
      };
      this.#after(ANSWER, () => this.#lose(wire.LOST));
    });
  }

  /** Continue: the application repeats its messages first, then the kept ones are sent. */
  #begin(raw: WebSocket): void {
    this.#state = OPEN;
    this.#fire(this.#connections++ ? "reconnected" : "open");
    const queue = this.#queue;
    this.#queue = [];
    this.#queued = 0;
    if (this.#state === OPEN) for (const each of queue) raw.send(each as string);
  }

  /**
   * Send a token that is valid for this many milliseconds; the answer shows that the connection still works.
   *
   * @param newer whether it has to be another one, because it expires sooner at the server than the session thinks.
   */
  async #renew(goodFor: number, newer = false): Promise<void> {
    const raw = this.#raw;
    try {
      let token = await this.#session.token({ goodFor, passive: true });
      if (newer && token === this.#token && raw === this.#raw) {
        await this.#session.refresh();
        token = await this.#session.token({ passive: true });
      }
      if (raw !== this.#raw || this.#state !== OPEN) return;
      this.#token = token;
      raw!.send(wire.tokenMessage(token));
    } catch (error) {
      const { code, retryAfter = ANSWER } = error as { code?: string; retryAfter?: number };
      if (code !== "refresh_unavailable") return this.#fail(error);
      if (raw === this.#raw) this.#after(retryAfter, () => void this.#renew(goodFor));
      return;
    }
    const sent = performance.now();
    this.#after(ANSWER, () => (this.#heard > sent ? void this.#renew(goodFor) : this.#lose(wire.LOST)));
  }

  #after(milliseconds: number, work: () => void): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(work, milliseconds);
  }

  #fail(error: unknown): void {
    const { code, name } = Object(error) as { code?: unknown; name?: string };
    if (this.#state !== CLOSED) this.#fire("error", { error });
    const reason = typeof code === "string" ? code : `${name}`;
    this.#end({ ...wire.LOST, code: reason === "login_required" ? wire.ENDED : wire.LOST.code, reason });
  }

  #end(close: SocketClose): void {
    if (this.#state === CLOSED) return;
    this.#state = CLOSED;
    this.#queue = [];
    this.#queued = 0;
    this.#over.abort();
    this.#lose(wire.LOST);
    // libraries that reconnect take 4401 as final
    const code = close.code === wire.EXPIRED && this.#options.reconnect === false ? wire.RESTART : close.code;
    this.#fire("close", { ...close, code });
  }

  #fire(type: keyof SocketEvents, more?: object): void {
    this.dispatchEvent(Object.assign(new Event(type), more));
  }
}

/**
 * Open a WebSocket that lasts as long as the session's login.
 *
 * @throws TypeError if an option is unknown or invalid, or the URL is not one that gets the access token.
 */
export default async ({ session }: { session: Session }, url: string | URL, options: SocketOptions = {}): Promise<SessionSocket> =>
  new Socket(session, url, options);

/** A class to use instead of `WebSocket`. */
export interface SocketClass {
  new (url: string | URL, protocols?: string | string[]): SessionSocket;
  readonly CONNECTING: 0;
  readonly OPEN: 1;
  readonly CLOSING: 2;
  readonly CLOSED: 3;
}

/** Return a class for a library that makes WebSockets and reconnects itself, such as graphql-ws's `webSocketImpl`. */
export function webSocketImpl(session: Session, options: Omit<SocketOptions, "protocols" | "reconnect"> = {}): SocketClass {
  return class extends Socket {
    static readonly CONNECTING = CONNECTING;
    static readonly OPEN = OPEN;
    static readonly CLOSING = CLOSING;
    static readonly CLOSED = CLOSED;

    constructor(url: string | URL, protocols: string | string[] = []) {
      super(session, url, { ...options, protocols, reconnect: false });
    }
  };
}

const sizeOf = (data: SocketData): number => (typeof data === "string" ? data.length : data instanceof Blob ? data.size : data.byteLength);

/** Copy data that the caller may still change. */
const copy = (data: ArrayBuffer | ArrayBufferView): ArrayBuffer =>
  (ArrayBuffer.isView(data) ? new Uint8Array(data.buffer, data.byteOffset, data.byteLength) : new Uint8Array(data)).slice().buffer as ArrayBuffer;

const invalid = (name: string, value: unknown, expected: string): TypeError =>
  new TypeError(`${name}: ${JSON.stringify(value)}: expected ${expected}`);
