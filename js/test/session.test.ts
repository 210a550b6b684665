/** A whole session, outside a browser: the same code, Node's own fetch, locks and channels, a real socket. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { LoginRequired, RefreshUnavailable } from "../src/index.ts";
import { after, begin } from "./begin.ts";
import { jwt } from "./server.ts";

test("a hundred requests before the session is known wait for one refresh", async (t) => {
  const [session, server] = await begin(t);
  const asked = Array.from({ length: 100 }, (_, turn) => session.fetch(`${server.url}/api/${turn}`));
  assert.deepEqual(new Set((await Promise.all(asked)).map(({ status }) => status)), new Set([200]));
  assert.equal(server.asked.filter((each) => each.startsWith("POST /auth/refresh")).length, 1);
  assert.equal(server.asked.filter((each) => each.endsWith("Bearer t1")).length, 100);
});

test("a token revoked early is replaced once, and each body is sent again whole", async (t) => {
  const [session, server] = await begin(t);
  await session.ready;
  await after(1050);
  server.good = (token) => token === "t2";
  const asked = Array.from({ length: 20 }, (_, turn) =>
    session.fetch(`${server.url}/api`, { method: "POST", body: `body ${turn}` }).then((answer) => answer.json()),
  );
  assert.deepEqual(await Promise.all(asked), Array.from({ length: 20 }, (_, turn) => ({ got: `body ${turn}` })));
  assert.equal(server.asked.filter((each) => each === "POST /auth/refresh").length, 2);
});

test("an outage is RefreshUnavailable and a rejection LoginRequired, told once", async (t) => {
  const [session, server] = await begin(t);
  await session.ready;
  await after(1050);
  const ended: string[] = [];
  session.on("loggedOut", ({ reason }) => ended.push(reason));
  server.good = () => false;
  server.refresh = (answer) => void answer.writeHead(503).end();
  await assert.rejects(session.fetch(`${server.url}/api`), RefreshUnavailable);
  assert.deepEqual(ended, []);
  server.refresh = (answer) => void answer.writeHead(401).end("{}");
  await after(1050);
  const both = await Promise.allSettled([session.fetch(`${server.url}/api`), session.fetch(`${server.url}/api`)]);
  for (const each of both) assert.ok(each.status === "rejected" && each.reason instanceof LoginRequired);
  assert.deepEqual(ended, ["refresh: HTTP 401"]);
  assert.equal(session.user, null);
});

test("a refresh that is cut off is sent again", async (t) => {
  const [session, server] = await begin(t, { restore: false });
  const { refresh } = server;
  let cut = 2;
  server.refresh = (answer) => (cut-- > 0 ? void answer.destroy() : refresh(answer));
  await session.refresh();
  assert.equal((await session.fetch(`${server.url}/api`)).status, 200);
  assert.equal(server.asked.at(-1), "GET /api Bearer t1");
});

test("what a listener throws reaches nobody but the place for uncaught errors", async (t) => {
  const [session, server] = await begin(t, { restore: false });
  const caught: unknown[] = [];
  const before = process.listeners("uncaughtException");
  process.removeAllListeners("uncaughtException");
  process.on("uncaughtException", (error) => caught.push(error));
  session.on("loggedIn", () => {
    throw new Error("a listener's own");
  });
  await session.refresh();
  assert.equal((await session.fetch(`${server.url}/api`)).status, 200);
  process.removeAllListeners("uncaughtException");
  for (const listener of before) process.on("uncaughtException", listener);
  assert.deepEqual(caught.map((error) => (error as Error).message), ["a listener's own"]);
});


test("what one user asked for is never asked for in another's name", async (t) => {
  const [session, server] = await begin(t, { restore: false });
  let user = "ann";
  server.refresh = (answer) => {
    answer.writeHead(200, { "content-type": "application/json" });
    answer.end(JSON.stringify({ accessToken: jwt(user), expiresIn: 60 }));
  };
  await session.refresh();
  assert.equal(session.user?.subject, "ann");
  await after(1050);
  server.good = () => false;
  user = "ben"; // who has logged in by a form of the server's, in another window
  await assert.rejects(session.fetch(`${server.url}/api`, { method: "POST", body: "Ann's" }), LoginRequired);
  assert.equal(session.user?.subject, "ben");
  assert.equal(server.asked.filter((each) => each.startsWith("POST /api")).length, 1);
});

test("a token of ten years overflows no timer: it is not refreshed again and again", async (t) => {
  const [session, server] = await begin(t, { restore: false });
  server.refresh = (answer) => {
    answer.writeHead(200, { "content-type": "application/json" });
    answer.end(JSON.stringify({ accessToken: "long", expiresIn: 10 * 365 * 86_400 }));
  };
  await session.refresh();
  await after(1500);
  assert.deepEqual(server.asked, ["POST /auth/refresh"]);
});
