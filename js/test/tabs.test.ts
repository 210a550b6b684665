/** What other tabs post: the shape of it is checked, and versions are told apart. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { after, begin } from "./begin.ts";

test("a malformed message, or one of another version, changes nothing", async (t) => {
  const [session, server] = await begin(t, { restore: false });
  await session.login({});
  const token = await session.token();
  const channel = new BroadcastChannel(`daypass ${server.url}/auth`);
  t.after(() => channel.close());
  const at = Date.now() + 10_000;
  const grant = { accessToken: "forged", lifetime: 60_000 };
  const messages: unknown[] = [
    null, 7, "text", [], {}, { ask: "x" }, { rest: NaN }, { rest: "1" }, { rest: Infinity }, { rest: 1e12 },
    { at, sent: at }, { at, sent: at, reason: "" }, { at, sent: at, reason: {} }, { at: NaN, sent: at, reason: "x" },
    { at: 1e300, sent: at, reason: "x" }, { at, sent: "x", reason: "x" }, { at, reason: "x" }, { at: "9", sent: at, reason: "x" },
    { at, sent: at, grant: true }, { at, sent: at, grant: { accessToken: 7 } }, { at, sent: at, grant: { accessToken: "a b" } },
    { at, sent: at, grant: { accessToken: "a", lifetime: "60" } }, { at, sent: at, grant, age: NaN }, { at, sent: at, grant, age: "1" },
    { at, sent: at, grant, version: 2 }, { at, sent: at, reason: "x", version: "1" },
  ];
  for (const each of messages) channel.postMessage(each);
  await after(200);
  assert.equal(session.status, "in");
  assert.equal(await session.token(), token);
  assert.notEqual((await session.refresh(), await session.token()), token);
  // one of the version before, which had no number
  channel.postMessage({ at: at + 1000, sent: Date.now(), reason: "logout" });
  await new Promise((go) => session.on("loggedOut", go));
  assert.equal(session.status, "out");
});

test("without BroadcastChannel a session goes on alone", async (t) => {
  const channel = globalThis.BroadcastChannel;
  t.after(() => void (globalThis.BroadcastChannel = channel));
  globalThis.BroadcastChannel = class {
    constructor() {
      throw new DOMException("The operation is insecure.", "SecurityError");
    }
  } as never;
  const [session, server] = await begin(t);
  assert.equal((await session.fetch(`${server.url}/api`)).status, 200);
  await session.logout();
  assert.equal(session.status, "out");
});

test("a tab that does not restore logs no other tab out", async (t) => {
  const [session, server] = await begin(t, { restore: false });
  await session.login({});
  const { createSession } = await import("../src/index.ts");
  const other = createSession({ url: `${server.url}/auth`, restore: false });
  t.after(() => other.close());
  const third = createSession({ url: `${server.url}/auth` });
  t.after(() => third.close());
  await third.ready;
  assert.deepEqual([session.status, other.status, third.status], ["in", "in", "in"]);
});
