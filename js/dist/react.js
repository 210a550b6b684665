"use client";

// src/react.ts
import {
  Fragment,
  createContext,
  createElement,
  useContext,
  useEffect,
  useMemo,
  useState,
  useSyncExternalStore
} from "react";
var UNKNOWN = { status: "unknown", user: null, version: 0 };
var Context = createContext(null);
function SessionProvider({ session, initialUser, children }) {
  const provided = useMemo(() => {
    const told = initialUser !== void 0;
    const rendered = told ? { ...UNKNOWN, status: initialUser ? "in" : "out", user: initialUser } : UNKNOWN;
    return { session, rendered, told };
  }, [session, initialUser]);
  return createElement(Context.Provider, { value: provided }, children);
}
function useSession() {
  const { session } = useProvided();
  const snapshot = useSnapshot((snapshot2) => snapshot2);
  return useMemo(() => ({ ...snapshot, session }), [snapshot, session]);
}
function useUser() {
  return useSnapshot(({ user }) => user);
}
function RequireLogin({ login, pending, children }) {
  const { status, user } = useSession();
  if (status === "unknown") return pending;
  if (status === "out") return login;
  return createElement(Fragment, { key: user?.subject }, children);
}
function useEnding() {
  return useLatest("ending", "extended");
}
function useStepUp() {
  return useLatest("stepUp", "confirmed");
}
function useLatest(name, over) {
  const { session } = useProvided();
  const [latest, setLatest] = useState(null);
  useEffect(() => {
    const clear = () => setLatest(null);
    const stops = [
      session.on(name, (event) => setLatest(clearedBy(event, clear))),
      session.on(over, clear),
      session.on("loggedOut", clear)
    ];
    return () => {
      clear();
      for (const stop of stops) stop();
    };
  }, [session, name, over]);
  return latest;
}
function clearedBy(event, clear) {
  if (!("cancel" in event)) return event;
  const { cancel } = event;
  return { ...event, cancel: () => (cancel(), clear()) };
}
function useSnapshot(select) {
  const { session, rendered, told } = useProvided();
  const read = () => {
    const snapshot = session.snapshot();
    return select(told && snapshot.status === "unknown" ? rendered : snapshot);
  };
  return useSyncExternalStore(session.subscribe, read, () => select(rendered));
}
function useProvided() {
  const provided = useContext(Context);
  if (!provided) throw new Error("no session here: render <SessionProvider session={session}> above this component");
  return provided;
}
export {
  RequireLogin,
  SessionProvider,
  useEnding,
  useSession,
  useStepUp,
  useUser
};
//# sourceMappingURL=react.js.map
