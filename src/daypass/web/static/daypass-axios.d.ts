import type { Session } from "./daypass.js";
/** What is needed of axios; nothing of it is imported. */
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
 * configuration is sent at once, with the token there is, if any.
 *
 * The session's part is where the request is sent, below every interceptor and transformation: the second time exactly
 * the same is sent, and the application's own code sees the last answer alone.
 */
export declare function withSession<T extends AxiosLike>(instance: T, session: Session): T;
export {};
