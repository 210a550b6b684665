/** What a server that renders pages runs: a module that makes a session as it is loaded. */
import { createSession } from "../src/index.ts";

const session = createSession({ url: "/auth" });
const refused = await Promise.allSettled([session.token(), session.login({}), session.logout(), session.refresh()]);
const listeners = [session.subscribe, (listener: () => void) => session.on("stepUp", listener)].map((listen) => {
  const listener = () => {};
  listen(listener)();
  listen(listener); // a page that was rendered never stops listening
  return new WeakRef(listener);
});
console.log(
  JSON.stringify({
    snapshot: session.snapshot(),
    same: session.snapshot() === session.snapshot(),
    ready: await session.ready,
    codes: refused.map((each) => each.status === "rejected" && each.reason.code),
    text: await (await session.fetch("data:text/plain,as it is")).text(),
    kept: await collected().then(() => listeners.filter((each) => each.deref()).length),
  }),
);
session.close();

async function collected() {
  await new Promise((go) => setTimeout(go)); // a weak reference is strong until then
  globalThis.gc!();
}
