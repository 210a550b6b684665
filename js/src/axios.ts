/** `daypass/axios`: an axios instance whose requests go through a session. */
import type { AxiosLike, Session } from "./index.ts";

/** Send an axios instance's requests through a session; returns the instance. */
export const withSession = <T extends AxiosLike>(instance: T, session: Session): T => session.axios(instance);
