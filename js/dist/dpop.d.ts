import type { Session } from "./index.js";
/** The headers that carry an access token. */
export interface TokenHeaders extends Record<string, string> {
    authorization: string;
}
/**
 * Return the headers for one request that the session does not send itself, such as an `XMLHttpRequest`: the access token,
 * and a proof if it is bound to a key. Each request needs new ones.
 *
 * @param url of the request; of a WebSocket, `https:` instead of `wss:`.
 * @param accessToken if it is known already; else the session's.
 * @throws LoginRequired if nobody is logged in, or the key is gone.
 * @throws RefreshUnavailable if the token has expired and there cannot be a new one now.
 */
export declare function headersFor(session: Session, method: string, url: string | URL, accessToken?: string): Promise<TokenHeaders>;
export {};
