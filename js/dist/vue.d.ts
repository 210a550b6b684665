import type { App, ComputedRef, Ref } from "vue";
import type { Session, SessionEvents, Status, User } from "./index.js";
/** The result of `useSession`. */
export interface SessionRefs {
    readonly session: Session;
    readonly status: ComputedRef<Status>;
    /** For display; `null` if nobody is logged in, or if the status is `unknown`. */
    readonly user: ComputedRef<User | null>;
}
export interface DaypassOptions {
    /**
     * The user for whom the server rendered this page, `null` for nobody. Shown while the session's status is `unknown`.
     */
    initialUser?: User | null | undefined;
}
export interface GuardOptions extends DaypassOptions {
    /** The path of the login page. It gets `?redirect=` with the path that was asked for. */
    login: string;
}
interface Location {
    readonly fullPath: string;
    readonly meta: Readonly<Record<PropertyKey, unknown>>;
}
/** The part of vue-router that is used; vue-router is not imported. */
export interface RouterLike {
    readonly currentRoute: {
        readonly value: Location;
    };
    beforeEach(guard: (to: Location) => unknown): () => void;
    push(to: {
        path: string;
        query: {
            redirect: string;
        };
    }): Promise<unknown>;
}
/** Make the plugin: `app.use(createDaypass(session))`. It stops listening when the app is unmounted. */
export declare function createDaypass(session: Session, { initialUser }?: DaypassOptions): {
    install(app: App): void;
};
/**
 * Return the session, and its status and user as refs.
 *
 * @throws Error if the app does not use the plugin.
 */
export declare function useSession(): SessionRefs;
/**
 * Return a ref: the event `ending` if the session ends soon, otherwise `null`. `session.extend()` keeps the session alive.
 *
 * @throws Error if the app does not use the plugin.
 */
export declare function useEnding(): Readonly<Ref<SessionEvents["ending"] | null>>;
/**
 * Return a ref: the event `stepUp` if the user has to confirm who they are, otherwise `null`. Call
 * `session.confirm({ password })`, or the event's `cancel()`. Use it once, in a component that is always mounted: without a
 * listener requests do not wait.
 *
 * @throws Error if the app does not use the plugin.
 */
export declare function useStepUp(): Readonly<Ref<SessionEvents["stepUp"] | null>>;
/**
 * Let only users who are logged in see the routes with `meta: { requiresAuth: true }`; send all others to the login.
 * A user whose login ends on such a route is sent there too. While the server cannot be reached, nobody is sent away.
 * With `initialUser` it guards on a server that renders pages, too.
 *
 * @returns a function that removes the guard.
 */
export declare function guardRoutes(router: RouterLike, session: Session, { login, initialUser }: GuardOptions): () => void;
export {};
