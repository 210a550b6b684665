import { type Session, type SessionOptions } from "./index.js";
/**
 * Send every `fetch` of this page through a session, for its origins alone; `close` puts back what was there before.
 *
 * Existing code knows no `LoginRequired` and no `StepUpRequired`: it gets the 401 that it would have got without a session.
 */
export declare function installFetch(options?: SessionOptions): Session;
export {};
