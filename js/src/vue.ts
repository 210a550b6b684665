/** Vue's binding: who is logged in, as refs; a plugin, a composable, and a guard for vue-router. */
import { type App, type ComputedRef, type InjectionKey, type Ref, computed, inject, onScopeDispose, shallowRef } from "vue";
import type { Session, SessionEvents, Snapshot, Status, User } from "./index.ts";

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
  readonly currentRoute: { readonly value: Location };
  beforeEach(guard: (to: Location) => unknown): () => void;
  push(to: { path: string; query: { redirect: string } }): Promise<unknown>;
}

const KEY: InjectionKey<SessionRefs> = Symbol("daypass");

/** Make the plugin: `app.use(createDaypass(session))`. It stops listening when the app is unmounted. */
export function createDaypass(session: Session, { initialUser }: DaypassOptions = {}): { install(app: App): void } {
  return {
    install(app) {
      const now = shallowRef(shown(session, initialUser));
      app.onUnmount(session.subscribe(() => (now.value = shown(session, initialUser))));
      app.provide(KEY, { session, status: computed(() => now.value.status), user: computed(() => now.value.user) });
    },
  };
}

/** Return who is logged in: what the server has said, until the session knows. */
function shown(session: Session, initialUser: User | null | undefined): Pick<Snapshot, "status" | "user"> {
  const snapshot = session.snapshot();
  const told = initialUser !== undefined && snapshot.status === "unknown";
  return told ? { status: initialUser ? "in" : "out", user: initialUser } : snapshot;
}

/**
 * Return the session, and its status and user as refs.
 *
 * @throws Error if the app does not use the plugin.
 */
export function useSession(): SessionRefs {
  const refs = inject(KEY, null);
  if (!refs) throw new Error("no session here: call app.use(createDaypass(session)) before the app is mounted");
  return refs;
}

/**
 * Return a ref: the event `ending` if the session ends soon, otherwise `null`. `session.extend()` keeps the session alive.
 *
 * @throws Error if the app does not use the plugin.
 */
export function useEnding(): Readonly<Ref<SessionEvents["ending"] | null>> {
  return useLatest<SessionEvents["ending"]>("ending", "extended");
}

/**
 * Return a ref: the event `stepUp` if the user has to confirm who they are, otherwise `null`. Call
 * `session.confirm({ password })`, or the event's `cancel()`. Use it once, in a component that is always mounted: without a
 * listener requests do not wait.
 *
 * @throws Error if the app does not use the plugin.
 */
export function useStepUp(): Readonly<Ref<SessionEvents["stepUp"] | null>> {
  return useLatest<SessionEvents["stepUp"]>("stepUp", "confirmed");
}

/** Return the last event with this name; `null` before it, and after the event `over`, a logout, or `cancel`. */
function useLatest<E extends object>(name: "ending" | "stepUp", over: "extended" | "confirmed"): Ref<E | null> {
  const { session } = useSession();
  const latest: Ref<E | null> = shallowRef(null);
  const clear = () => void (latest.value = null);
  const stops = [
    session.on(name, (event) => (latest.value = clearedBy(event as unknown as E, clear))),
    session.on(over, clear),
    session.on("loggedOut", clear),
  ];
  onScopeDispose(() => stops.forEach((stop) => stop()));
  return latest;
}

/** Return the event. If it has a `cancel`, that also calls `clear`. */
function clearedBy<E extends object>(event: E, clear: () => void): E {
  if (!("cancel" in event)) return event;
  const { cancel } = event as unknown as SessionEvents["stepUp"];
  return { ...event, cancel: () => (cancel(), clear()) };
}

/**
 * Let only users who are logged in see the routes with `meta: { requiresAuth: true }`; send all others to the login.
 * A user whose login ends on such a route is sent there too. While the server cannot be reached, nobody is sent away.
 * With `initialUser` it guards on a server that renders pages, too.
 *
 * @returns a function that removes the guard.
 */
export function guardRoutes(router: RouterLike, session: Session, { login, initialUser }: GuardOptions): () => void {
  const detour = ({ meta, fullPath }: Location) =>
    meta["requiresAuth"] && shown(session, initialUser).status === "out"
      ? { path: login, query: { redirect: fullPath } }
      : undefined;
  const removeGuard = router.beforeEach(async (to) => {
    if (to.meta["requiresAuth"] && initialUser === undefined) await session.ready;
    return detour(to);
  });
  const unsubscribe = session.subscribe(() => {
    const to = detour(router.currentRoute.value);
    if (to) void router.push(to);
  });
  return () => {
    removeGuard();
    unsubscribe();
  };
}
