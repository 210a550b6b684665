"use client";
/** React's binding: who is logged in, in a form that React may read at any time. */
import {
  Fragment,
  type ReactNode,
  createContext,
  createElement,
  useContext,
  useMemo,
  useSyncExternalStore,
} from "react";
import type { Session, Snapshot, User } from "./index.ts";

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

interface Provided {
  session: Session;
  /** What the server rendered; React needs the same again to hydrate the page. */
  rendered: Snapshot;
  /** Whether `rendered` knows more than a session that is still `unknown`. */
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
 * @throws Error where no `SessionProvider` is above.
 */
export function useSession(): SessionState {
  const { session } = useProvided();
  const snapshot = useSnapshot((snapshot) => snapshot);
  return useMemo(() => ({ ...snapshot, session }), [snapshot, session]);
}

/**
 * Return who is logged in, for display; `null` for nobody, and while that is unknown. Render again when it changes.
 *
 * @throws Error where no `SessionProvider` is above.
 */
export function useUser(): User | null {
  return useSnapshot(({ user }) => user);
}

/**
 * Show its children to users who are logged in. When another user logs in they start from the beginning, so nothing
 * of the first user's state is left.
 */
export function RequireLogin({ login, pending, children }: RequireLoginProps): ReactNode {
  const { status, user } = useSession();
  if (status === "unknown") return pending;
  if (status === "out") return login;
  return createElement(Fragment, { key: user?.subject }, children);
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
