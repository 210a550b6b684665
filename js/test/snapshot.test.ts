/** Who is logged in, as a page shows it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { LoginRequired } from "../src/index.ts";
import { after, begin } from "./begin.ts";

test("status, user and version are one frozen object, the same one until something changes", async (t) => {
  const [session, server] = await begin(t);
  server.user = "ann";
  const seen: unknown[] = [];
  let calls = 0;
  session.on("change", (change) => seen.push([change.status, change.user?.subject, change.version]));
  const stop = session.subscribe(() => calls++);
  const unknown = session.snapshot();
  assert.deepEqual({ ...unknown }, { status: "unknown", user: null, version: 0 });
  await session.ready;
  const { user } = session;
  const snapshot = session.snapshot();
  assert.ok(Object.isFrozen(snapshot) && Object.isFrozen(user));
  assert.deepEqual([session.status, user?.subject, user?.claims], ["in", "ann", { sub: "ann", plan: "pro" }]);
  await session.refresh();
  assert.equal(session.snapshot(), snapshot);
  assert.equal(session.user, user);
  server.user = "ben";
  await session.refresh();
  await session.logout();
  stop();
  await session.login({ username: "ben" });
  await after(0);
  assert.deepEqual(seen, [["in", "ann", 1], ["in", "ben", 2], ["out", undefined, 3], ["in", "ben", 4]]);
  assert.equal(calls, 3);
});

test("ready settles after the first round while the server is down, and the session comes back behind it", async (t) => {
  const [session, server] = await begin(t);
  const { refresh } = server;
  const failed: unknown[] = [];
  const warned: string[] = [];
  const { warn } = console;
  console.warn = (text: string) => warned.push(text);
  t.after(() => void (console.warn = warn));
  session.on("refreshFailed", ({ code }) => failed.push(code));
  server.refresh = (answer) => {
    answer.writeHead(403, { "content-type": "application/json" });
    answer.end('{"error": "cross_site_request", "message": "Name this origin"}');
  };
  assert.equal(await session.ready, null);
  assert.equal(session.status, "unknown");
  await new Promise((go) => session.on("refreshFailed", go));
  assert.deepEqual(new Set(failed), new Set(["cross_site_request"]));
  assert.equal(warned.length, 1);
  assert.match(warned[0]!, /auth\/refresh: HTTP 403.*cross_site_request: Name this origin/);
  server.refresh = refresh;
  await new Promise((go) => session.on("loggedIn", go));
  assert.equal(session.status, "in");
});

test("the signal of a login is aborted when it ends or another user logs in, and not by a refresh", async (t) => {
  const [session, server] = await begin(t, { restore: false });
  server.user = "ann";
  await session.login({});
  const anns = session.signal;
  await session.refresh();
  assert.equal(session.signal, anns);
  server.user = "ben";
  await session.refresh();
  assert.ok(anns.aborted && anns.reason instanceof LoginRequired);
  const bens = session.signal;
  assert.ok(!bens.aborted);
  await session.logout();
  assert.ok(bens.aborted && !session.signal.aborted);
});

test("what one user reads never arrives in another's page; a write gets its answer first", async (t) => {
  const [session, server] = await begin(t, { restore: false });
  server.user = "ann";
  await session.login({});
  const stream = await session.fetch(`${server.url}/api/stream`);
  const reader = stream.body!.getReader();
  assert.equal(new TextDecoder().decode((await reader.read()).value), "first");
  const reading = session.fetch(`${server.url}/api/slow`);
  const written = await session.fetch(`${server.url}/api/stream`, { method: "POST", body: "x" });
  const writing = session.fetch(`${server.url}/api/slow`, { method: "POST", body: "Ann's" });
  await after(100);
  server.user = "ben";
  await session.login({});
  await assert.rejects(reader.read(), LoginRequired);
  await assert.rejects(reading, LoginRequired);
  for (const go of server.held.slice(1).reverse()) go();
  assert.equal((await writing).status, 200);
  await assert.rejects(written.text(), LoginRequired);
});
