import type { ReactNode } from "react";
import type { Session, SessionEvents, Snapshot, User } from "./index.js";
export interface SessionProviderProps {
    /** Made once, in a module: `export const session = createSession()`. */
    session: Session;
    /**
     * The user for whom the server rendered this page, `null` for nobody. Shown while the session's status is `unknown`.
     */
    initialUser?: User | null | undefined;
    children?: ReactNode;
}
/** The result of `useSession`: a new object only when something has changed. */
export interface SessionState extends Snapshot {
    readonly session: Session;
}
export interface RequireLoginProps {
    /** Shown while nobody is logged in: a login form, or a router's redirect to one. */
    login: ReactNode;
    /** Shown until it is known whether a user is logged in; nothing by default. */
    pending?: ReactNode;
    children?: ReactNode;
}
/** Give a session to all components below. */
export declare function SessionProvider({ session, initialUser, children }: SessionProviderProps): ReactNode;
/**
 * Return the session, its status and its user; render again when they change.
 *
 * @throws Error if there is no `SessionProvider` above.
 */
export declare function useSession(): SessionState;
/**
 * Return the user who is logged in, for display; `null` if nobody is, or if the status is `unknown`. Render again when it
 * changes.
 *
 * @throws Error if there is no `SessionProvider` above.
 */
export declare function useUser(): User | null;
/**
 * Show its children to users who are logged in. When another user logs in they are mounted again, so nothing of
 * the first user's state is left.
 */
export declare function RequireLogin({ login, pending, children }: RequireLoginProps): ReactNode;
/**
 * Return the event `ending` if the session ends soon, otherwise `null`. `session.extend()` keeps the session alive.
 *
 * @throws Error if there is no `SessionProvider` above.
 */
export declare function useEnding(): SessionEvents["ending"] | null;
/**
 * Return the event `stepUp` if the user has to confirm who they are, otherwise `null`. Call `session.confirm({ password })`,
 * or the event's `cancel()`. Use it once, in a component that is always mounted: without a listener requests do not wait.
 *
 * @throws Error if there is no `SessionProvider` above.
 */
export declare function useStepUp(): SessionEvents["stepUp"] | null;
export {};
