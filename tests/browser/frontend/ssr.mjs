// Prints what a server renders, once for each user that it is given, and once without knowing who it is.
import { createSession } from "daypass";
import { createElement } from "react";
import { renderToString } from "react-dom/server";
import { createSSRApp, h } from "vue";
import { renderToString as renderVue } from "vue/server-renderer";
import { createDaypass, useSession } from "daypass/vue";
import { Greeting } from "./pages/_greeting.js";

const session = createSession();
const users = [undefined, ...JSON.parse(process.argv[2])];
const setup = () => {
  const { user, status } = useSession();
  return () => h("b", `${status.value} ${user.value?.username ?? "nobody"}`);
};
console.log(
  JSON.stringify({
    react: users.map((initialUser) => renderToString(createElement(Greeting, { session, initialUser }))),
    vue: await Promise.all(
      users.map((initialUser) => renderVue(createSSRApp({ setup }).use(createDaypass(session, { initialUser })))),
    ),
    ready: await session.ready,
  }),
);
