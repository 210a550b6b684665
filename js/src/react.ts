"use client";
/** The binding for React: who is logged in, in a form that React may read at any time. */
import {
  Fragment,
  type ReactNode,
  createContext,
  createElement,
  useContext,
  useEffect,
  useMemo,
  useState,
  useSyncExternalStore,
} from "react";
import type { Session, SessionEvents, Snapshot, User } from "./index.ts";

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

interface Provided {
  session: Session;
  /** The snapshot that the server rendered; React needs the same to hydrate the page. */
  rendered: Snapshot;
  /** Whether to show `rendered`, because the session is still `unknown`. */
  told: boolean;
}

const UNKNOWN: Snapshot = { status: "unknown", user: null, version: 0 };
const Context = createContext<Provided | null>(null);

/** Give a session to all components below. */
export function SessionProvider({ session, initialUser, children }: SessionProviderProps): ReactNode {
  const provided = useMemo<Provided>(() => {
    const told = initialUser !== undefined;
    const rendered = told ? { ...UNKNOWN, status: initialUser ? "in" : "out", user: initialUser } as const : UNKNOWN;
    return { session, rendered, told };
  }, [session, initialUser]);
  return createElement(Context.Provider, { value: provided }, children);
}

/**
 * Return the session, its status and its user; render again when they change.
 *
 * @throws Error if there is no `SessionProvider` above.
 */
export function useSession(): SessionState {
  const { session } = useProvided();
  const snapshot = useSnapshot((snapshot) => snapshot);
  return useMemo(() => ({ ...snapshot, session }), [snapshot, session]);
}

/**
 * Return the user who is logged in, for display; `null` if nobody is, or if the status is `unknown`. Render again when it
 * changes.
 *
 * @throws Error if there is no `SessionProvider` above.
 */
export function useUser(): User | null {
  return useSnapshot(({ user }) => user);
}

/**
 * Show its children to users who are logged in. When another user logs in they are mounted again, so nothing of
 * the first user's state is left.
 */
export function RequireLogin({ login, pending, children }: RequireLoginProps): ReactNode {
  const { status, user } = useSession();
  if (status === "unknown") return pending;
  if (status === "out") return login;
  return createElement(Fragment, { key: user?.subject }, children);
}

/**
 * Return the event `ending` if the session ends soon, otherwise `null`. `session.extend()` keeps the session alive.
 *
 * @throws Error if there is no `SessionProvider` above.
 */
export function useEnding(): SessionEvents["ending"] | null {
  return useLatest<SessionEvents["ending"]>("ending", "extended");
}

/**
 * Return the event `stepUp` if the user has to confirm who they are, otherwise `null`. Call `session.confirm({ password })`,
 * or the event's `cancel()`. Use it once, in a component that is always mounted: without a listener requests do not wait.
 *
 * @throws Error if there is no `SessionProvider` above.
 */
export function useStepUp(): SessionEvents["stepUp"] | null {
  return useLatest<SessionEvents["stepUp"]>("stepUp", "confirmed");
}

/** Return the last event with this name; `null` before it, and after the event `over`, a logout, or `cancel`. */
function useLatest<E extends object>(name: "ending" | "stepUp", over: "extended" | "confirmed"): E | null {
  const { session } = useProvided();
  const [latest, setLatest] = useState<E | null>(null);
  useEffect(() => {
    const clear = () => setLatest(null);
    const stops = [
      session.on(name, (event) => setLatest(clearedBy(event as unknown as E, clear))),
      session.on(over, clear),
      session.on("loggedOut", clear),
    ];
    return () => {
      clear();
      for (const stop of stops) stop();
    };
  }, [session, name, over]);
  return latest;
}

/** Return the event. If it has a `cancel`, that also calls `clear`. */
function clearedBy<E extends object>(event: E, clear: () => void): E {
  if (!("cancel" in event)) return event;
  const { cancel } = event as unknown as SessionEvents["stepUp"];
  return { ...event, cancel: () => (cancel(), clear()) };
}

function useSnapshot<T>(select: (snapshot: Snapshot) => T): T {
  const { session, rendered, told } = useProvided();
  const read = () => {
    const snapshot = session.snapshot();
    return select(told && snapshot.status === "unknown" ? rendered : snapshot);
  };
  return useSyncExternalStore(session.subscribe, read, () => select(rendered));
}

function useProvided(): Provided {
  const provided = useContext(Context);
  if (!provided) throw new Error("no session here: render <SessionProvider session={session}> above this component");
  return provided;
}
