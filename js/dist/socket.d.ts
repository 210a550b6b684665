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
/** A class to use instead of `WebSocket`. */
export interface SocketClass {
    new (url: string | URL, protocols?: string | string[]): SessionSocket;
    readonly CONNECTING: 0;
    readonly OPEN: 1;
    readonly CLOSING: 2;
    readonly CLOSED: 3;
}
/** Return a class for a library that makes WebSockets and reconnects itself, such as graphql-ws's `webSocketImpl`. */
export declare function webSocketImpl(session: Session, options?: Omit<SocketOptions, "protocols" | "reconnect">): SocketClass;
export {};
