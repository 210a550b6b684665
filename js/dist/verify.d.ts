/**
 * How a verifier learns of ended sessions: `off`, not at all; `starting`, there was no answer yet; `listening`, the issuer
 * answers when a session ends; `polling`, it is asked twice a second; `cut_off`, it does not answer, or refuses this client.
 */
export type EndingsState = "off" | "starting" | "listening" | "polling" | "cut_off";
export interface EndingsOptions {
    /** Of this service, registered at the issuer as a client that may introspect. */
    clientId: string;
    clientSecret: string;
    /** The issuer's endpoint; default `/auth/endings` below the issuer. */
    url?: string;
}
/** What a verifier throws. `code` tells the errors apart; no message holds a token. */
declare abstract class Failure extends Error {
    abstract readonly code: string;
    /** The HTTP status of the answer. */
    abstract readonly status: number;
}
/** The request has no access token. */
export declare class TokenMissing extends Failure {
    readonly name = "TokenMissing";
    readonly code = "token_missing";
    readonly status = 401;
}
/** It is not an access token of this issuer for this audience. */
export declare class TokenMalformed extends Failure {
    readonly name = "TokenMalformed";
    readonly code = "token_malformed";
    readonly status = 401;
}
export declare class TokenExpired extends Failure {
    readonly name = "TokenExpired";
    readonly code = "token_expired";
    readonly status = 401;
}
/** Its session has ended. */
export declare class SessionRevoked extends Failure {
    readonly name = "SessionRevoked";
    readonly code = "session_revoked";
    readonly status = 401;
}
/** The token is good, but its user has to be authenticated again, or in a stronger way. */
export declare class AuthenticationInsufficient extends Failure {
    readonly name = "AuthenticationInsufficient";
    readonly code = "insufficient_user_authentication";
    readonly status = 401;
    /** Seconds. */
    readonly maxAge: number | undefined;
    readonly acr: string | undefined;
    constructor(maxAge: number | undefined, acr: string | undefined);
}
/** The token is good, and its scope does not allow this. */
export declare class ScopeInsufficient extends Failure {
    readonly name = "ScopeInsufficient";
    readonly code = "insufficient_scope";
    readonly status = 403;
    /** What is needed. */
    readonly scope: string;
    constructor(scope: string);
}
/** There are no keys, or not the one that the token names, and the issuer cannot be asked; nothing was decided. */
export declare class KeysUnavailable extends Failure {
    readonly name = "KeysUnavailable";
    readonly code = "temporarily_unavailable";
    readonly status = 503;
}
/** What the issuer publishes cannot work: another issuer's metadata, or no public keys. */
export declare class IssuerUnusable extends Failure {
    readonly name = "IssuerUnusable";
    readonly code = "issuer_unusable";
    readonly status = 503;
}
/** Every error of a verifier: `switch (error.code)` narrows. */
export type VerifyError = TokenMissing | TokenMalformed | TokenExpired | SessionRevoked | AuthenticationInsufficient | ScopeInsufficient | KeysUnavailable | IssuerUnusable;
/** How to answer a request whose access token will not do. */
export interface Refusal {
    status: number;
    headers: Record<string, string>;
    body: {
        error: string;
        message: string;
    };
}
/**
 * Return how to answer a request for which `verify` or `authenticate` has thrown this.
 *
 * @throws the error itself if it is not a verifier's.
 */
export declare function refusal(error: unknown): Refusal;
/** Return the same as a `Response`, for servers that answer with one. */
export declare function refusalResponse(error: unknown): Response;
/** What a verified access token says; times in milliseconds since the epoch. */
export interface AccessToken {
    /** Whose it is (`sub`). */
    readonly subject: string;
    /** The session it was issued for (`sid`). */
    readonly sessionId: string;
    readonly clientId: string;
    readonly issuer: string;
    readonly audience: readonly string[];
    /** Its own identifier (`jti`). */
    readonly id: string;
    readonly issuedAt: number;
    readonly expiresAt: number;
    /** When its user was last authenticated. */
    readonly authTime: number;
    readonly sessionStartedAt: number;
    readonly username: string | null;
    readonly email: string | null;
    /** What it may be used for, words with spaces between them; `null` where nothing is said. */
    readonly scope: string | null;
    /** The subject who acts as the user (`act.sub`), `null` if it is the user. */
    readonly actor: string | null;
    /** The session of who acts as the user; when it ends, the token is refused. */
    readonly actorSessionId: string | null;
    /** All claims as they stand in the token. */
    readonly claims: Readonly<Record<string, unknown>>;
}
/** An open connection. */
export interface Watch {
    /** The newest access token. */
    readonly token: AccessToken;
    /**
     * Go on with a newer access token of the same session; return what it says.
     *
     * @throws as `verify`; the connection then goes on with the one before.
     */
    renew(accessToken: string): Promise<AccessToken>;
    /** The connection has ended by itself. */
    stop(): void;
}
export type WatchEnd = (reason: SessionRevoked | TokenExpired) => void;
export interface VerifierOptions {
    /** The URL that access tokens name as their issuer. */
    issuer: string;
    /** Whom they have to be for; default the issuer. */
    audience?: string;
    /** Where the keys are; default as the issuer's metadata says, else `/.well-known/jwks.json` below it. */
    jwksUrl?: string;
    /** By how many milliseconds clocks may differ, at most a minute; default 0. */
    leeway?: number;
    /** Learn of ended sessions within a second; default false: their tokens are good until they expire. */
    endings?: EndingsOptions | false;
    /** Called when `state` changes, with the reason if it is `cut_off`; default: says on the console what users need to know. */
    onState?: (state: EndingsState, reason?: string) => void;
    /** What sends requests; default `globalThis.fetch`, looked up at each request. */
    fetch?: typeof fetch;
}
/** What is required of an access token. */
export interface Requirements {
    /** Words with spaces between them (RFC 6749 §3.3). */
    scope?: string;
    /** How many seconds ago the user was authenticated at most (RFC 9470). */
    maxAge?: number;
    /** The authentication context classes of which one is needed, with spaces between them. */
    acr?: string;
}
/** The headers of a request: of the `Request` of Web standards, or of Node's. */
export type RequestHeaders = Headers | Record<string, string | string[] | undefined>;
/** One for the process; its methods may be taken off and passed around. */
export interface Verifier {
    /**
     * Return what an access token says.
     *
     * @throws TokenMalformed, TokenExpired or SessionRevoked: answer with 401.
     * @throws ScopeInsufficient or AuthenticationInsufficient if it does not meet the requirements.
     * @throws KeysUnavailable if nothing could be decided: answer with 503.
     */
    verify(accessToken: string, required?: Requirements): Promise<AccessToken>;
    /**
     * Return what the access token of a request says.
     *
     * @throws TokenMissing if the request has no token; else as `verify`.
     */
    authenticate(headers: RequestHeaders, required?: Requirements): Promise<AccessToken>;
    /**
     * Watch an open connection, such as a WebSocket: `onEnd` is called once, when its session has ended or its access token
     * has expired and no newer one came. Close the connection then.
     *
     * @throws as `verify`.
     */
    watch(accessToken: string, onEnd: WatchEnd, required?: Requirements): Promise<Watch>;
    /** How it learns of ended sessions now. */
    readonly state: EndingsState;
    /** Stop following the endings, such as at the end of a program. */
    close(): void;
}
/**
 * Make what verifies access tokens. Nothing is fetched before the first one comes.
 *
 * @throws TypeError if an option is unknown or invalid; the message names it, and what to write.
 */
export declare function createVerifier(options: VerifierOptions): Verifier;
export {};
