// src/vue.ts
import { computed, inject, onScopeDispose, shallowRef } from "vue";
var KEY = /* @__PURE__ */ Symbol("daypass");
function createDaypass(session, { initialUser } = {}) {
  return {
    install(app) {
      const now = shallowRef(shown(session, initialUser));
      app.onUnmount(session.subscribe(() => now.value = shown(session, initialUser)));
      app.provide(KEY, { session, status: computed(() => now.value.status), user: computed(() => now.value.user) });
    }
  };
}
function shown(session, initialUser) {
  const snapshot = session.snapshot();
  const told = initialUser !== void 0 && snapshot.status === "unknown";
  return told ? { status: initialUser ? "in" : "out", user: initialUser } : snapshot;
}
function useSession() {
  const refs = inject(KEY, null);
  if (!refs) throw new Error("no session here: call app.use(createDaypass(session)) before the app is mounted");
  return refs;
}
function useEnding() {
  return useLatest("ending", "extended");
}
function useStepUp() {
  return useLatest("stepUp", "confirmed");
}
function useLatest(name, over) {
  const { session } = useSession();
  const latest = shallowRef(null);
  const clear = () => void (latest.value = null);
  const stops = [
    session.on(name, (event) => latest.value = clearedBy(event, clear)),
    session.on(over, clear),
    session.on("loggedOut", clear)
  ];
  onScopeDispose(() => stops.forEach((stop) => stop()));
  return latest;
}
function clearedBy(event, clear) {
  if (!("cancel" in event)) return event;
  const { cancel } = event;
  return { ...event, cancel: () => (cancel(), clear()) };
}
function guardRoutes(router, session, { login, initialUser }) {
  const detour = ({ meta, fullPath }) => meta["requiresAuth"] && shown(session, initialUser).status === "out" ? { path: login, query: { redirect: fullPath } } : void 0;
  const removeGuard = router.beforeEach(async (to) => {
    if (to.meta["requiresAuth"] && initialUser === void 0) await session.ready;
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
export {
  createDaypass,
  guardRoutes,
  useEnding,
  useSession,
  useStepUp
};
//# sourceMappingURL=vue.js.map
