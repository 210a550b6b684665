/** The errors of this module. Distinguish them by `code`; no message contains a token. */
declare abstract class Failure extends Error {
    abstract readonly code: string;
    constructor(message: string, details?: object);
    /** Give a class its name and its code; minified classes have none. */
    protected static named(name: string): void;
}
/** Nobody is logged in, the session has ended, or another user has logged in: show the login. */
export declare class LoginRequired extends Failure {
    readonly name: "LoginRequired";
    readonly code: "login_required";
    /** The response that said so, if there was one: a `Response`, or axios's. */
    readonly response: unknown;
}
/** The access token has expired and the server cannot be reached for a new one; the session is kept. */
export declare class RefreshUnavailable extends Failure {
    readonly name: "RefreshUnavailable";
    readonly code: "refresh_unavailable";
    /** Milliseconds to wait before a retry, if known. */
    readonly retryAfter: number | undefined;
}
/** The name or the password is wrong; no session was started. */
export declare class CredentialsRejected extends Failure {
    readonly name: "CredentialsRejected";
    readonly code: "credentials_rejected";
}
/** The server refused the login request; the credentials were not checked. */
export declare class LoginRefused extends Failure {
    readonly name: "LoginRefused";
    readonly code: "login_refused";
    /** The server's code for the reason, such as `insecure_transport`. */
    readonly reason: string | undefined;
}
/** The login succeeded, but the browser did not keep the cookie, so the user would be logged out at the next refresh. */
export declare class CookieRejected extends Failure {
    readonly name: "CookieRejected";
    readonly code: "cookie_rejected";
}
/** The user has to confirm who they are (RFC 9470), and did not: there is no listener for `stepUp`, or it was cancelled. */
export declare class StepUpRequired extends Failure {
    readonly name: "StepUpRequired";
    readonly code: "step_up_required";
    /** The response that required it. */
    readonly response: unknown;
    /** The maximum age of the last authentication in milliseconds, if that was required. */
    readonly maxAge: number | undefined;
    /** The accepted kinds of authentication, the best first, if the server named any. */
    readonly acrValues: readonly string[] | undefined;
}
/** `close()` was called on this session. */
export declare class SessionClosed extends Failure {
    readonly name: "SessionClosed";
    readonly code: "session_closed";
}
/** Every error of this module: `switch (error.code)` narrows. */
export type DaypassErrors = LoginRequired | RefreshUnavailable | CredentialsRejected | LoginRefused | CookieRejected | StepUpRequired | SessionClosed;
export type DaypassError = DaypassErrors;
interface ErrorClass extends Function {
    readonly prototype: DaypassErrors;
}
/** The class of all of them; `error instanceof DaypassError` narrows to the union. */
export declare const DaypassError: ErrorClass;
/** The user, by the claims of the access token; for display, never for decisions: it is not verified here. */
export interface User {
    readonly subject: string;
    readonly username: string | null;
    readonly email: string | null;
    /** The access token's claims, without those that change with each token: `exp`, `iat`, `nbf`, `jti`. */
    readonly claims: Readonly<Record<string, unknown>>;
}
/** `unknown` until the server or another tab has answered for the first time. */
export type Status = "unknown" | "in" | "out";
/** The state of the session for display. It is frozen, and the same object until something in it changes. */
export interface Snapshot {
    readonly status: Status;
    readonly user: User | null;
    /** Counts the changes. */
    readonly version: number;
}
/** The events of a session; none contains a token. Durations are in milliseconds. */
export interface SessionEvents {
    /** `status` or `user` has changed. */
    change: Snapshot;
    /** A user is logged in: by `login`, after a reload, or in another tab (`shared`). */
    loggedIn: {
        user: User | null;
        lifetime: number | undefined;
        shared: boolean;
    };
    /** There is a new access token; `shared` if another tab got it. */
    refreshed: {
        user: User | null;
        lifetime: number | undefined;
        shared: boolean;
    };
    /** There is no new access token; the session is kept, and the next attempt is after `retryAfter`. */
    refreshFailed: {
        reason: string;
        retryAfter: number;
        /** The server's code for the reason, such as `cross_site_request`, if any. */
        code: string | undefined;
        /** What the server said about it, for developers. */
        message: string | undefined;
    };
    /** A 401 to a token that had not expired; the caller does not see it if the request is sent again. */
    unauthorized: {
        url: string;
    };
    /** A request was sent again with a new token. */
    replayed: {
        url: string;
    };
    /**
     * The server wants the user to confirm who they are (RFC 9470). The request waits for `session.confirm()`, and
     * further ones do; `cancel` ends all of them with `StepUpRequired`.
     */
    stepUp: {
        url: string;
        /** The maximum age of the last authentication in milliseconds, if that is required. */
        maxAge: number | undefined;
        /** The accepted kinds of authentication, the best first, if the server named any. */
        acrValues: readonly string[] | undefined;
        cancel: () => void;
    };
    /** The user has confirmed who they are, in this tab or another; waiting requests are sent again. */
    confirmed: undefined;
    /** The session ends in `left` ms, because it is not used or its lifetime ends; see `session.extend()`. */
    ending: {
        left: number;
    };
    /** After `ending`: the session continues, by `extend` or because the user is active, in this tab or another. */
    extended: {
        left: number;
    };
    /** The session has ended; once in each tab. `reason` is `logout` after a logout, `idle` if the user was idle. */
    loggedOut: {
        reason: string;
        shared: boolean;
    };
}
export type Listener<N extends keyof SessionEvents> = (event: SessionEvents[N]) => unknown;
export interface SessionOptions {
    /** Where the session endpoints are; default `/auth`. */
    url?: string;
    /** Origins that get the access token, besides that of `url`, such as `https://api.example.com`. */
    origins?: readonly string[];
    /** Whether to restore the session from before the page was loaded, at once; default true. */
    restore?: boolean;
    /** The last share of its lifetime in which an access token is refreshed before it expires; default 0.2. */
    ahead?: number;
    /** The function that sends requests; default `globalThis.fetch`, looked up at each request. */
    fetch?: typeof fetch;
    /** Count input in any tab, instead of requests, as activity of the user. */
    idle?: {
        /** Milliseconds without any input after which the user is logged out; if missing, only the server decides. */
        after?: number;
    };
    /**
     * Whether the session is bound to a key of this browser that no script can read (DPoP); default false. The issuer needs
     * `dpop=True`, and the page HTTPS.
     */
    dpop?: boolean;
    /** Milliseconds before the end of the session at which `ending` is fired; default 120000. */
    warnBefore?: number;
    /**
     * Decide whether a response means that the access token was refused: true refreshes and sends the request again, false
     * does not, undefined applies the default rule (a 401 whose challenge, if any, is Bearer). It gets the `Response`,
     * or axios's: `clone()` it before you read its body.
     */
    shouldRefresh?: (response: any) => boolean | undefined | Promise<boolean | undefined>;
}
/** The body of a login: a name or an address, and a password; your `authenticate` may take more fields. */
export interface Credentials {
    username?: string;
    email?: string;
    password?: string;
    deviceName?: string;
    [other: string]: unknown;
}
/** The body of a confirmation: the password; your own check may take more fields. */
export interface Confirmation {
    password?: string;
    [other: string]: unknown;
}
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
    error: Event & {
        error: unknown;
    };
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
/** The options of `session.fetch`: those of `fetch`, and these. */
export interface SessionRequestInit extends RequestInit {
    /** False: send it at once with the current token, if any, and return the response unchanged. */
    refresh?: boolean;
    /**
     * Whether a timer and no user has caused this request: it does not keep an idle session alive. It is sent with
     * `X-Daypass-Passive: 1`, if its origin is the page's own; a request that has this header is passive, too.
     */
    passive?: boolean;
}
export type SessionFetch = (input: RequestInfo | URL, init?: SessionRequestInit) => Promise<Response>;
export interface LogoutOptions {
    /** End every session of this user, on all devices; default false. */
    everywhere?: boolean;
}
/** One request, whatever library sends it. */
export interface Exchange<R> {
    url: string | URL;
    /** Whether it is a GET or a HEAD. */
    reads: boolean;
    /** Whether its body can certainly be sent a second time. */
    repeatable: boolean;
    /** The caller's signal, if any. */
    signal?: AbortSignal | undefined;
    /** False to send it once, with the current token, if any. */
    refresh?: boolean | undefined;
    /** Whether a timer and no user has caused it: it does not keep an idle session alive. */
    passive?: boolean | undefined;
    /**
     * Send it with this access token, or without one.
     *
     * @param login aborted when its login ends or another user logs in.
     * @param earlier the first response, if this is the second request.
     */
    send(accessToken?: string, login?: AbortSignal, earlier?: R): Promise<R>;
    /** Return the response's status, its final URL, its challenge, and a function that reads its body. */
    look(answer: R): Seen;
}
export interface Seen {
    status: number;
    from: string | undefined;
    challenge: string | null | undefined;
    text(): Promise<string> | string;
}
/** How a connection ended. */
export interface SocketClose {
    code: number;
    reason: string;
    wasClean: boolean;
}
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
    reconnecting: Event & SocketClose & {
        wait: number;
    };
    /** A further connection: send again what the server has not acknowledged. */
    reconnected: Event;
    /** Just before `close`. `error` is `LoginRequired`, `SessionClosed`, or an error of `resume` or `reconnect`. */
    error: Event & {
        error: unknown;
    };
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
/** One login, shared by all tabs. Its methods may be detached and passed around. */
export interface Session {
    /** `fetch`, without expiry. */
    readonly fetch: SessionFetch;
    /** `unknown` until the server or another tab has answered for the first time. */
    readonly status: Status;
    /** The user who is logged in, or `null`; for display. The same object while the user's data are equal. */
    readonly user: User | null;
    /** Settles after the first attempt to restore a session, whatever its outcome. */
    readonly ready: Promise<User | null>;
    /** Aborted when this login ends or another user logs in; then there is a new one. Its reason is `LoginRequired`. */
    readonly signal: AbortSignal;
    /** Aborted by `close`. Its reason is `SessionClosed`. */
    readonly closed: AbortSignal;
    /** Return `status`, `user` and `version` in one frozen object, the same one until something changes. */
    snapshot(): Snapshot;
    /** Call `listener` after each change of the snapshot; returns a function that stops it. */
    subscribe(listener: () => void): () => void;
    /** Return an access token, such as for a WebSocket. */
    token(options?: TokenOptions): Promise<string>;
    login(credentials: Credentials): Promise<User | null>;
    logout(options?: LogoutOptions): Promise<void>;
    /** Get a new access token now, such as after a login by other means; returns the user, or `null`. */
    refresh(): Promise<User | null>;
    /**
     * Keep the session alive: the user is active. Return how many milliseconds it lasts now, `Infinity` if that is not
     * known. A session at the end of its absolute lifetime cannot be extended.
     */
    extend(): Promise<number>;
    /**
     * Confirm who the user is, by their password, when `stepUp` was fired; waiting requests are sent again.
     *
     * @throws CredentialsRejected if the password is wrong; requests continue to wait.
     */
    confirm(confirmation: Confirmation): Promise<User | null>;
    /** Send one request with another HTTP library; `fetch` and `daypass/axios` use it. */
    exchange<R>(asked: Exchange<R>): Promise<R>;
    /** Open a WebSocket that lasts as long as this login, and reconnects. */
    socket(url: string | URL, options?: SocketOptions): Promise<SessionSocket>;
    /** Read server-sent events for as long as this login lasts: an `EventSource` that sends the access token. */
    events(url: string | URL, options?: EventStreamOptions): Promise<EventStream>;
    /** Listen to an event; returns a function that stops it. */
    on<N extends keyof SessionEvents>(name: N, listener: Listener<N>): () => void;
    /** Stop timers and listeners, without a logout. Waiting calls end with `SessionClosed`. */
    close(): void;
}
/**
 * Make the session of this page; a session from before the page was loaded is restored.
 *
 * Outside a browser, such as while a page is rendered on a server, it does nothing: there is no user, `fetch` sends
 * requests unchanged, and calls that need a session throw `RefreshUnavailable`. In a worker it starts when first used.
 *
 * @throws TypeError if an option is unknown or invalid.
 */
export declare function createSession(options?: SessionOptions): Session;
export interface TokenOptions {
    /** Milliseconds for which it has to be valid; default 5000, at most half of its lifetime. */
    goodFor?: number;
    /** Whether a timer and no user has caused this: a refresh then does not keep an idle session alive. */
    passive?: boolean;
}
export {};
