import { type ReactNode } from "react";
import type { Session, Snapshot, User } from "./index.js";
export interface SessionProviderProps {
    /** Made once, in a module: `export const session = createSession()`. */
    session: Session;
    /**
     * Who is logged in as far as the server knows that rendered this page, `null` for nobody. It is shown until the
     * session knows by itself. Without it the page starts as `unknown`.
     */
    initialUser?: User | null | undefined;
    children?: ReactNode;
}
/** What a component gets: a new object when something has changed, and only then. */
export interface SessionState extends Snapshot {
    readonly session: Session;
}
export interface RequireLoginProps {
    /** Shown while nobody is logged in: a login form, or a router's redirect to one. */
    login: ReactNode;
    /** Shown until it is known whether somebody is logged in; nothing by default. */
    pending?: ReactNode;
    children?: ReactNode;
}
/** Give a session to all components below. */
export declare function SessionProvider({ session, initialUser, children }: SessionProviderProps): ReactNode;
/**
 * Return the session, its status and its user; render again when they change.
 *
 * @throws Error where no `SessionProvider` is above.
 */
export declare function useSession(): SessionState;
/**
 * Return who is logged in, for display; `null` for nobody, and while that is unknown. Render again when it changes.
 *
 * @throws Error where no `SessionProvider` is above.
 */
export declare function useUser(): User | null;
/**
 * Show its children to users who are logged in. When another user logs in they start from the beginning, so nothing
 * of the first user's state is left.
 */
export declare function RequireLogin({ login, pending, children }: RequireLoginProps): ReactNode;
export {};
