/** A server that refuses, is slow, or is down. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { LoginRequired } from "../src/index.ts";
import { after, begin } from "./begin.ts";

const refreshes = (asked: string[]) => asked.filter((each) => each === "POST /auth/refresh").length;

test("an endpoint that refuses every token causes fewer and fewer refreshes", async (t) => {
  const [session, server] = await begin(t);
  await session.token();
  server.good = () => false;
  for (let turn = 0; turn < 6; turn++) {
    await after(1050);
    assert.equal((await session.fetch(`${server.url}/api/broken?${turn}`)).status, 401);
  }
  assert.equal(refreshes(server.asked), 3); // the first one, and after 1 and 3 seconds, not yet after 7
});

test("after a refresh that helped, the next refusal is refreshed at once", async (t) => {
  const [session, server] = await begin(t);
  let token = await session.token();
  for (let turn = 0; turn < 3; turn++) {
    await after(1050);
    const revoked = token;
    server.good = (each) => each !== revoked;
    assert.equal((await session.fetch(`${server.url}/api`)).status, 200);
    token = await session.token();
  }
  assert.equal(refreshes(server.asked), 4);
});

test("the end of a session has one face: LoginRequired, in flight and afterwards, with the answer", async (t) => {
  const [session, server] = await begin(t);
  await session.token();
  await after(1050);
  server.good = () => false;
  server.refresh = (answer) => void answer.writeHead(401).end("{}");
  for (let turn = 0; turn < 2; turn++) {
    const error = await session.fetch(`${server.url}/api`).catch((error) => error);
    assert.ok(error instanceof LoginRequired);
    assert.deepEqual([error.code, (error.response as Response).status], ["login_required", 401]);
  }
  const answer = await session.fetch(`${server.url}/api`, { refresh: false });
  assert.equal(answer.status, 401);
});

test("a request with refresh: false waits for nothing, is not sent again, and has the token there is", async (t) => {
  const [session, server] = await begin(t);
  assert.equal((await session.fetch(`${server.url}/api`, { refresh: false })).status, 200);
  assert.deepEqual(server.asked, ["GET /api"]);
  await session.token();
  await after(1050);
  server.good = () => false;
  assert.equal((await session.fetch(`${server.url}/api`, { refresh: false })).status, 401);
  assert.deepEqual(server.asked.slice(-2), ["POST /auth/refresh", "GET /api Bearer t1"]);
});

test("shouldRefresh decides what a refusal is, by the body if it wants to", async (t) => {
  const [session, server] = await begin(t, {
    shouldRefresh: async (answer: Response) => (await answer.clone().json()).got === "refuse" || undefined,
  });
  await session.token();
  await after(1050);
  const answer = await session.fetch(`${server.url}/api`, { method: "POST", body: "refuse" });
  assert.deepEqual(await answer.json(), { got: "refuse" });
  assert.deepEqual(server.asked, [
    "POST /auth/refresh",
    "POST /api Bearer t1",
    "POST /auth/refresh",
    "POST /api Bearer t2",
  ]);
});

test("fetch is looked up at each request, so that what replaces it later is used", async (t) => {
  const [session, server] = await begin(t);
  await session.token();
  const before = globalThis.fetch;
  t.after(() => void (globalThis.fetch = before));
  globalThis.fetch = async () => new Response("stubbed");
  assert.equal(await (await session.fetch(`${server.url}/api`)).text(), "stubbed");
  globalThis.fetch = session.fetch as typeof fetch;
  assert.equal((await fetch(`${server.url}/api`)).status, 200);
});

test("a URL that says two things gets the token only if the one that is asked does", async (t) => {
  const [session, server] = await begin(t);
  const [, other] = await begin(t);
  await session.token();
  const forged = { url: `${server.url}/api`, toString: () => `${other.url}/api` };
  const tagged = { ...forged, [Symbol.toStringTag]: "Request" };
  for (const each of [forged, tagged]) await session.fetch(each as never);
  assert.deepEqual(other.asked, ["GET /api", "GET /api"]);
});

test("refusals of one login's tokens are forgotten with that login", async (t) => {
  const [session, server] = await begin(t, { restore: false });
  await session.login({});
  await after(1050);
  server.good = () => false;
  assert.equal((await session.fetch(`${server.url}/api`)).status, 401);
  server.user = "ben";
  await session.login({});
  const revoked = await session.token();
  server.good = (each) => each !== revoked;
  await after(1050);
  assert.equal((await session.fetch(`${server.url}/api`)).status, 200);
});
