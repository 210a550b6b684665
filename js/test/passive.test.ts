/** What no user has caused keeps no session alive. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { createSession } from "../src/index.ts";
import { after, begin } from "./begin.ts";

const refreshes = (asked: string[]) => asked.filter((each) => each.includes("refresh"));

/** Return a session, its server, and what makes the next request need a refresh. */
async function loggedIn(t: TestContext) {
  const [session, server] = await begin(t, { restore: false });
  Object.assign(server, { ends: 600, lifetime: 100 });
  await session.login({});
  server.asked.length = 0;
  const revoke = async () => {
    await after(1050);
    const old = await session.token({ passive: true });
    server.good = (token) => token !== old;
  };
  return { session, server, revoke };
}

test("a refresh that only passive requests need is passive, and the next one that the user needs is not", async (t) => {
  const { session, server, revoke } = await loggedIn(t);
  for (const passive of [true, true, false, true]) {
    await revoke();
    await session.fetch(`${server.url}/api`, { passive });
  }
  assert.deepEqual(refreshes(server.asked), [
    "POST /auth/refresh passive",
    "POST /auth/refresh passive",
    "POST /auth/refresh",
    "POST /auth/refresh passive",
  ]);
});

test("a request is passive by its header, too, and whatever library sends it; the option sends none to other origins", async (t) => {
  const { session, server, revoke } = await loggedIn(t);
  await revoke();
  await session.fetch(`${server.url}/api`, { headers: { "x-daypass-passive": "1" } });
  await revoke();
  const url = `${server.url}/api`;
  const send = async (token?: string) => fetch(url, { headers: { authorization: `Bearer ${token}` } });
  const look = ({ status }: Response) => ({ status, from: url, challenge: null, text: () => "" });
  await session.exchange({ url, reads: true, repeatable: true, passive: true, send, look });
  await session.fetch(url, { passive: true });
  assert.deepEqual(
    server.asked.map((each) => each.replace(/Bearer t\d+/, "*")),
    [
      ...["GET /api * passive", "POST /auth/refresh passive", "GET /api * passive"],
      ...["GET /api *", "POST /auth/refresh passive", "GET /api *", "GET /api *"],
    ],
  );
});

test("a request of the user's makes the next refresh the user's, whatever needs it", async (t) => {
  const { session, server, revoke } = await loggedIn(t);
  await session.fetch(`${server.url}/api`);
  for (let turn = 0; turn < 2; turn++) {
    await revoke();
    await session.fetch(`${server.url}/api`, { passive: true });
  }
  assert.deepEqual(refreshes(server.asked), ["POST /auth/refresh", "POST /auth/refresh passive"]);
});

test("a tab that refreshes for its own passive request knows that the user is there in another tab", async (t) => {
  const { session, server, revoke } = await loggedIn(t);
  const other = createSession({ url: `${server.url}/auth`, restore: false });
  t.after(() => other.close());
  await session.refresh();
  await after(50);
  await other.fetch(`${server.url}/api`);
  await after(50);
  server.asked.length = 0;
  for (const each of [session, other]) {
    await revoke();
    await each.fetch(`${server.url}/api`, { passive: true });
    await after(50);
  }
  assert.deepEqual(refreshes(server.asked), ["POST /auth/refresh", "POST /auth/refresh passive"]);
});

test("a refresh by the clock is passive, unless the user was there", async (t) => {
  const [session, server] = await begin(t, { restore: false, ahead: 0.9 });
  Object.assign(server, { ends: 600, lifetime: 1 });
  await session.login({});
  server.asked.length = 0;
  await session.token({ passive: true }); // a token that is used is refreshed in a hidden tab, too
  await after(800);
  assert.deepEqual(server.asked, ["POST /auth/refresh passive"]);
});

test("an issuer that does not say when sessions end is sent no header that it may not know", async (t) => {
  const { session, server, revoke } = await loggedIn(t);
  server.ends = undefined;
  await session.refresh();
  await revoke();
  await session.fetch(`${server.url}/api`, { passive: true });
  assert.deepEqual(refreshes(server.asked), ["POST /auth/refresh", "POST /auth/refresh"]);
});
