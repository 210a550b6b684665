import type { Session, SessionOptions } from "./daypass.js";
/**
 * Send every `fetch` of this page to the session's origins through it; `close` puts the original `fetch` back.
 *
 * Existing code does not know `LoginRequired` and `StepUpRequired`: it gets the 401, as without a session.
 */
export declare function installFetch(options?: SessionOptions): Session;
export {};
