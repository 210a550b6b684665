// The session in the browser, and the user for whom the server renders the page.
import { createSession, type User } from "daypass";
import { createDaypass, guardRoutes } from "daypass/vue";

const session = createSession(); // on the server it does nothing

export default defineNuxtPlugin(({ vueApp }) => {
  const rendered = useState<User | null>("user", () => useRequestEvent()!.context.session.user);
  const initialUser = rendered.value;
  vueApp.use(createDaypass(session, { initialUser }));
  guardRoutes(useRouter(), session, { login: "/login", initialUser });
  const api = import.meta.server ? useRequestFetch() : $fetch.create({}, { fetch: session.fetch });
  return { provide: { api } };
});
