/** Step-up: requests that need a recent login wait until the user has confirmed who they are. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { CredentialsRejected, LoginRequired, type SessionEvents, StepUpRequired, createSession } from "../src/index.ts";
import { after, begin, until } from "./begin.ts";

async function loggedIn(t: TestContext) {
  const [session, server] = await begin(t, { restore: false });
  server.user = "ann";
  await session.login({});
  server.asked.length = 0;
  const asked: SessionEvents["stepUp"][] = [];
  return { session, server, asked, listen: () => session.on("stepUp", (event) => asked.push(event)) };
}

test("requests wait for one confirmation, and are sent again whole with the new token; no refresh is spent", async (t) => {
  const { session, server, asked, listen } = await loggedIn(t);
  listen();
  const sent = ["a", "b"].map((body) => session.fetch(`${server.url}/api/recent`, { method: "POST", body }));
  await until(() => asked.length && server.asked.length > 1);
  await after(20);
  const [event] = asked;
  assert.equal(asked.length, 1);
  assert.deepEqual([event!.url, event!.maxAge, event!.acrValues], [`${server.url}/api/recent`, 300_000, undefined]);
  await assert.rejects(session.confirm({ password: "wrong" }), CredentialsRejected);
  assert.equal((await session.confirm({ password: "right" }))?.subject, "ann");
  assert.deepEqual(await Promise.all(sent.map(async (each) => (await each).json())), [{ got: "a" }, { got: "b" }]);
  assert.ok(!server.asked.some((each) => each.includes("refresh")));
  assert.equal(server.asked.filter((each) => each.startsWith("POST /api/recent")).length, 4);
  assert.equal((await session.fetch(`${server.url}/api/recent`)).status, 200);
});

test("where nobody listens, and where it is cancelled, the request ends with StepUpRequired and what is wanted", async (t) => {
  const { session, server, asked, listen } = await loggedIn(t);
  server.stepUp = 'Bearer error="insufficient_user_authentication", acr_values="mfa phr"';
  const caught = async () => session.fetch(`${server.url}/api/recent`).catch((error) => error);
  const stop = listen();
  const waiting = caught();
  await after(100);
  asked[0]!.cancel();
  stop();
  for (const error of [await waiting, await caught()]) {
    assert.ok(error instanceof StepUpRequired);
    assert.deepEqual([error.code, error.maxAge, error.acrValues], ["step_up_required", undefined, ["mfa", "phr"]]);
    assert.equal((error.response as Response).status, 401);
  }
  assert.ok(!server.asked.some((each) => each.includes("refresh")));
});

test("a logout, the caller and close end what waits, and the next one asks again", async (t) => {
  const { session, server, asked, listen } = await loggedIn(t);
  listen();
  const controller = new AbortController();
  const aborted = session.fetch(`${server.url}/api/recent`, { signal: controller.signal }).catch((error) => error);
  await after(100);
  controller.abort(new Error("never mind"));
  assert.equal((await aborted).message, "never mind");
  const left = session.fetch(`${server.url}/api/recent`).catch((error) => error);
  await after(100);
  await session.logout();
  assert.ok((await left) instanceof LoginRequired);
  await session.login({});
  const closed = session.fetch(`${server.url}/api/recent`).catch((error) => error);
  await after(100);
  assert.equal(asked.length, 3);
  session.close();
  assert.equal((await closed).code, "session_closed");
});

test("a stream, which cannot be sent again, ends with StepUpRequired at once", async (t) => {
  const { session, server, asked, listen } = await loggedIn(t);
  listen();
  const body = new Blob(["x"]).stream();
  const sent = session.fetch(`${server.url}/api/recent`, { method: "POST", body, duplex: "half" } as RequestInit);
  await assert.rejects(sent, StepUpRequired);
  assert.equal(asked.length, 0);
});

test("a confirmation in another tab, or by the application's own means, serves what waits here", async (t) => {
  const { session, server, listen } = await loggedIn(t);
  listen();
  const confirmed: string[] = [];
  session.on("confirmed", () => confirmed.push("here"));
  const other = createSession({ url: `${server.url}/auth` });
  t.after(() => other.close());
  await other.ready;
  const waiting = session.fetch(`${server.url}/api/recent`);
  await after(100);
  await session.refresh(); // a new token alone is no confirmation
  await after(50);
  assert.deepEqual(confirmed, []);
  await other.confirm({ password: "right" });
  assert.equal((await waiting).status, 200);
  assert.deepEqual(confirmed, ["here"]);
});

test("a confirmation that was not enough is StepUpRequired, and not asked for twice", async (t) => {
  const { session, server, asked, listen } = await loggedIn(t);
  listen();
  Object.defineProperty(server.claims, "auth_time", { get: () => 0, enumerable: false });
  const waiting = session.fetch(`${server.url}/api/recent`).catch((error) => error);
  await after(100);
  await session.confirm({ password: "right" });
  server.claims = {};
  await waiting;
  assert.equal(asked.length, 1);
});
