import type { AxiosLike, Session } from "./index.js";
/** Send an axios instance's requests through a session; returns the instance. */
export declare const withSession: <T extends AxiosLike>(instance: T, session: Session) => T;
export {};
