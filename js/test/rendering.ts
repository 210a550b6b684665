/** What a server that renders pages runs: a module that makes a session as it is loaded. */
import { createSession } from "../src/index.ts";

const session = createSession({ url: "/auth" });
const refused = await Promise.allSettled([session.token(), session.login({}), session.logout(), session.refresh()]);
const stop = session.subscribe(() => {});
stop();
console.log(
  JSON.stringify({
    snapshot: session.snapshot(),
    same: session.snapshot() === session.snapshot(),
    ready: await session.ready,
    codes: refused.map((each) => each.status === "rejected" && each.reason.code),
    text: await (await session.fetch("data:text/plain,as it is")).text(),
  }),
);
session.close();
