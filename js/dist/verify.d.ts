/**
 * How a verifier learns of ended sessions: `off`, not at all; `starting`, there was no response yet; `listening`, the
 * issuer answers when a session ends; `polling`, it is polled twice a second; `cut_off`, it does not answer, or refuses
 * this client.
 */
export type EndingsState = "off" | "starting" | "listening" | "polling" | "cut_off";
export interface EndingsOptions {
    /** The client id of this service, which may introspect at the issuer. */
    clientId: string;
    clientSecret: string;
    /** The issuer's endpoint; default `/auth/endings` below the issuer. */
    url?: string;
}
/** The errors of a verifier. Distinguish them by `code`; no message contains a token. */
declare abstract class Failure extends Error {
    abstract readonly code: string;
    /** The HTTP status of the response. */
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
/** The token is valid, but its user has to be authenticated again, or in a stronger way. */
export declare class AuthenticationInsufficient extends Failure {
    readonly name = "AuthenticationInsufficient";
    readonly code = "insufficient_user_authentication";
    readonly status = 401;
    /** Seconds. */
    readonly maxAge: number | undefined;
    readonly acr: string | undefined;
    constructor(maxAge: number | undefined, acr: string | undefined);
}
/** The token is valid, but its scope does not allow this. */
export declare class ScopeInsufficient extends Failure {
    readonly name = "ScopeInsufficient";
    readonly code = "insufficient_scope";
    readonly status = 403;
    /** The required scope. */
    readonly scope: string;
    constructor(scope: string);
}
/** The key of the token is not known, and the issuer cannot be reached; nothing was decided. */
export declare class KeysUnavailable extends Failure {
    readonly name = "KeysUnavailable";
    readonly code = "temporarily_unavailable";
    readonly status = 503;
}
/** The issuer publishes unusable data: another issuer's metadata, or no public keys. */
export declare class IssuerUnusable extends Failure {
    readonly name = "IssuerUnusable";
    readonly code = "issuer_unusable";
    readonly status = 503;
}
/** Every error of a verifier: `switch (error.code)` narrows. */
export type VerifyError = TokenMissing | TokenMalformed | TokenExpired | SessionRevoked | AuthenticationInsufficient | ScopeInsufficient | KeysUnavailable | IssuerUnusable;
/** The response to a request whose access token is refused. */
export interface Refusal {
    status: number;
    headers: Record<string, string>;
    body: {
        error: string;
        message: string;
    };
}
/**
 * Return the response to a request for which `verify` or `authenticate` has thrown this.
 *
 * @throws the error itself if it is not one of a verifier.
 */
export declare function refusal(error: unknown): Refusal;
/** Return the same as a `Response`, for servers that answer with one. */
export declare function refusalResponse(error: unknown): Response;
/** The contents of a verified access token; times in milliseconds since the epoch. */
export interface AccessToken {
    /** The user (`sub`). */
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
    /** Its scope, words with spaces between them; `null` without one. */
    readonly scope: string | null;
    /** The subject who acts as the user (`act.sub`), `null` if it is the user. */
    readonly actor: string | null;
    /** The session of the actor; when it ends, the token is refused. */
    readonly actorSessionId: string | null;
    /** All claims of the token. */
    readonly claims: Readonly<Record<string, unknown>>;
}
/** An open connection. */
export interface Watch {
    /** The newest access token. */
    readonly token: AccessToken;
    /**
     * Continue with a newer access token of the same session; return its contents.
     *
     * @throws as `verify`; the connection then continues with the previous token.
     */
    renew(accessToken: string): Promise<AccessToken>;
    /** Stop watching: the connection has ended. */
    stop(): void;
}
export type WatchEnd = (reason: SessionRevoked | TokenExpired) => void;
export interface VerifierOptions {
    /** The URL that access tokens name as their issuer. */
    issuer: string;
    /** The audience of access tokens; default the issuer. */
    audience?: string;
    /** The URL of the keys; default from the issuer's metadata, or `/.well-known/jwks.json` below the issuer. */
    jwksUrl?: string;
    /** Allowed clock skew in milliseconds, at most a minute; default 0. */
    leeway?: number;
    /** Learn of ended sessions within a second; default false: their tokens are valid until they expire. */
    endings?: EndingsOptions | false;
    /** Called when `state` changes, with the reason if it is `cut_off`; default: writes problems to the console. */
    onState?: (state: EndingsState, reason?: string) => void;
    /** The function that sends requests; default `globalThis.fetch`, looked up at each request. */
    fetch?: typeof fetch;
}
/** The requirements for an access token. */
export interface Requirements {
    /** Words with spaces between them (RFC 6749 §3.3). */
    scope?: string;
    /** The maximum age of the authentication, in seconds (RFC 9470). */
    maxAge?: number;
    /** The accepted authentication context classes, with spaces between them. */
    acr?: string;
}
/** The headers of a request: `Headers`, or Node's object. */
export type RequestHeaders = Headers | Record<string, string | string[] | undefined>;
/** Verifies access tokens; one for the process. Its methods may be detached and passed around. */
export interface Verifier {
    /**
     * Return the contents of an access token.
     *
     * @throws TokenMalformed, TokenExpired or SessionRevoked: answer with 401.
     * @throws ScopeInsufficient or AuthenticationInsufficient if it does not meet the requirements.
     * @throws KeysUnavailable if nothing could be decided: answer with 503.
     */
    verify(accessToken: string, required?: Requirements): Promise<AccessToken>;
    /**
     * Return the contents of the access token of a request.
     *
     * @throws TokenMissing if the request has no token; otherwise as `verify`.
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
    /** Stop following ended sessions, such as at the end of a program. */
    close(): void;
}
/**
 * Make a verifier of access tokens. Nothing is fetched before the first token comes.
 *
 * @throws TypeError if an option is unknown or invalid; the message names it, and what to write.
 */
export declare function createVerifier(options: VerifierOptions): Verifier;
export {};
