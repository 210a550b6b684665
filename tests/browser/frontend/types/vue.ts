import { createSession, type User } from "daypass";
import { createDaypass, guardRoutes, useSession } from "daypass/vue";
import { type Ref, createApp } from "vue";
import { createMemoryHistory, createRouter } from "vue-router";

const session = createSession();
const router = createRouter({ history: createMemoryHistory(), routes: [] });
const stop: () => void = guardRoutes(router, session, { login: "/login" });

createApp({
  setup() {
    const { session, status, user } = useSession();
    status.value satisfies "unknown" | "in" | "out";
    const shown: Readonly<Ref<User | null>> = user;
    // @ts-expect-error: the session says who is logged in
    user.value = null;
    return { shown, session };
  },
})
  .use(createDaypass(session))
  .use(createDaypass(session, { initialUser: null }))
  .use(router);
guardRoutes(router, session, { login: "/login", initialUser: null });

// @ts-expect-error: without the login page
guardRoutes(router, session, {});

export { stop };
