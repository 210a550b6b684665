import type { Session } from "./index.js";
/** The part of axios that is used; axios is not imported. */
export interface AxiosLike {
    defaults: {
        adapter?: unknown;
    };
    create(config: object): {
        defaults: object;
        request(config: never): Promise<unknown>;
    };
    getUri(config: never): string;
}
/**
 * Send an axios instance's requests through a session; returns the instance. A request with `refresh: false` in its
 * configuration is sent at once, with the current token, if any.
 *
 * The session works below every interceptor and transformation: the second request is exactly the same as the first, and
 * the application's own code sees only the last response.
 *
 * If the session is bound to a key (`dpop`), axios sends by `fetch`, which signs the request (axios 1.12 or later).
 */
export declare function withSession<T extends AxiosLike>(instance: T, session: Session): T;
export {};
