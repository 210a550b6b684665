import type { Snapshot, User } from "./index.js";
/** The login of the browser that requested a page, for the time of this request. */
export interface ServerSession {
    readonly status: "in" | "out";
    /** For display: it is not verified here. Your API decides what a user may do. */
    readonly user: User | null;
    /** For the page in the browser, until its own session knows more. */
    snapshot(): Snapshot;
    /**
     * Return the access token.
     *
     * @throws LoginRequired if nobody is logged in.
     */
    token(): Promise<string>;
    /**
     * `fetch`, with the access token for the API's origin and `origins`. A relative URL is one of the session endpoints'
     * origin. A 401 is sent again once with a new token.
     *
     * @throws LoginRequired if the session has ended, RefreshUnavailable if no new token can be had now.
     */
    fetch: typeof fetch;
}
export interface PagesOptions {
    /** Where this server reaches the session endpoints, such as `http://127.0.0.1:8000/auth`. */
    url: string;
    /** Origins that get the access token by `session.fetch`, besides that of `url`. */
    origins?: readonly string[];
    /**
     * Where browsers reach this server, such as `https://app.example.com`: redirects go there, and the endpoints get
     * it. Behind a proxy that ends TLS a server cannot know it.
     */
    origin?: string;
    /** The path of the session endpoints on this server, for `auth`; default `/auth`. */
    mount?: string;
    /** The name of the cookie without `__Host-`; default `daypass`. */
    cookieName?: string;
    /** `SameSite` of the cookie when it is renewed; default `Lax`. */
    sameSite?: "Lax" | "Strict";
    /** Other origins whose pages may send requests that change something. */
    allowedOrigins?: readonly string[];
    /**
     * Return the address of the client, if it can be read from the request. Otherwise give it with each request. Without it
     * the endpoints see none.
     */
    address?: (request: Request) => string | undefined;
    /** Return the HTML page for a refusal. */
    render?: (status: number, code: string, message: string) => string;
    /** The function that sends requests; default `globalThis.fetch`, looked up at each request. */
    fetch?: typeof fetch;
}
/** What only your framework knows of the client that sent a request. */
export interface Client {
    /** Its address, such as `203.0.113.7`: for the limits of failed logins, and the list of devices. */
    address?: string | undefined;
}
/** The login of the browser that sent a request. */
export interface Login {
    /** Send this instead of a page: 403, 429, 503, or a redirect to the same URL. */
    readonly refusal: Response | undefined;
    readonly session: ServerSession;
    /** The request's headers for the page: with the access token, and with the new cookie. */
    readonly headers: Headers;
    /** Add the new cookie to the page's response, and keep a personal page out of caches. */
    processResponse<R extends Response>(response: R): R;
}
export interface Pages {
    /** Find the login of a request, and refresh if needed. The request's body is not read. */
    processRequest(request: Request, client?: Client): Promise<Login>;
    /** Process the request, render, and process the response; for servers that answer a `Request` with a `Response`. */
    handle(request: Request, render: Render, client?: Client): Promise<Response>;
    /** Return the session of a page's headers, as `processRequest` has changed them. */
    session(headers: Headers): ServerSession;
    /** Pass a request for the session endpoints on to them. */
    auth(request: Request, client?: Client): Promise<Response>;
}
/** Return the page for a request. */
export type Render = (request: Request, session: ServerSession) => Response | Promise<Response>;
/**
 * Make the object that keeps the users of a server's pages logged in; one for the process.
 *
 * @throws TypeError if an option is unknown or invalid; the message names it, and what to write.
 */
export declare function createPages(options: PagesOptions): Pages;
export {};
