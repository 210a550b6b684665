import type { Session } from "./index.js";
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
    /** Return where the server has to go on, such as the number of the last message seen; it is sent with the token. */
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
    /** The connection was lost, or could not be had; the next attempt is after `wait` milliseconds at the latest. */
    reconnecting: Event & SocketClose & {
        wait: number;
    };
    /** A further connection: send again what the server has not acknowledged. */
    reconnected: Event;
    /** Why it ends, just before `close`: `LoginRequired`, `SessionClosed`, or what `resume` or `reconnect` has thrown. */
    error: Event & {
        error: unknown;
    };
    /** It has ended for good. */
    close: Event & SocketClose;
}
/** A WebSocket for one login: with all that `WebSocket` has, and connected again by itself. */
export interface SessionSocket extends EventTarget {
    readonly CONNECTING: 0;
    readonly OPEN: 1;
    readonly CLOSING: 2;
    readonly CLOSED: 3;
    readonly url: string;
    /** `CONNECTING` between two connections, too. */
    readonly readyState: number;
    readonly protocol: string;
    readonly extensions: string;
    /** Bytes that have not left: those that wait for a connection, too. */
    readonly bufferedAmount: number;
    binaryType: BinaryType;
    onopen: ((event: Event) => unknown) | null;
    onmessage: ((event: MessageEvent) => unknown) | null;
    onerror: ((event: SocketEvents["error"]) => unknown) | null;
    onclose: ((event: SocketEvents["close"]) => unknown) | null;
    /**
     * Send; without a connection, keep it until there is one. What is kept is sent once, in order.
     *
     * @throws DOMException `QuotaExceededError` if that would be more than `queue` bytes.
     */
    send(data: SocketData): void;
    /** End it for good. */
    close(code?: number, reason?: string): void;
    addEventListener<N extends keyof SocketEvents>(type: N, listener: (event: SocketEvents[N]) => unknown, options?: boolean | AddEventListenerOptions): void;
    addEventListener(type: string, listener: EventListenerOrEventListenerObject | null, options?: boolean | AddEventListenerOptions): void;
}
/** What takes the place of the class `WebSocket`. */
export interface SocketClass {
    new (url: string | URL, protocols?: string | string[]): SessionSocket;
    readonly CONNECTING: 0;
    readonly OPEN: 1;
    readonly CLOSING: 2;
    readonly CLOSED: 3;
}
/** Return a class for a library that makes its WebSockets, and connects again, by itself: graphql-ws's `webSocketImpl`. */
export declare function webSocketImpl(session: Session, options?: Omit<SocketOptions, "protocols" | "reconnect">): SocketClass;
export {};
