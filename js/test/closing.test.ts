/** A closed session says so, and what waited for it ends. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { SessionClosed } from "../src/index.ts";
import { after, begin } from "./begin.ts";

test("a request that waits for a refresh ends with SessionClosed, and so does what is asked for afterwards", async (t) => {
  const [session, server] = await begin(t);
  server.refresh = () => {}; // and no answer
  const waiting = [session.fetch(`${server.url}/api`), session.token(), session.refresh(), session.login({ username: "a" })];
  const ready = session.ready;
  await after(100);
  session.close();
  session.close();
  for (const each of await Promise.allSettled(waiting)) {
    assert.ok(each.status === "rejected" && each.reason instanceof SessionClosed);
    assert.equal(each.reason.code, "session_closed");
  }
  assert.equal(await ready, null);
  const asked = server.asked.length;
  const later = [session.fetch(`${server.url}/api`), session.token(), session.refresh(), session.login({}), session.logout()];
  for (const each of await Promise.allSettled(later)) assert.ok(each.status === "rejected" && each.reason instanceof SessionClosed);
  assert.equal(server.asked.length, asked);
});

test("a refresh that arrives after close changes nothing and is no unhandled rejection", async (t) => {
  const [session, server] = await begin(t, { restore: false });
  const { refresh } = server;
  let answer = () => {};
  server.refresh = (response) => void (answer = () => refresh(response));
  const changes: unknown[] = [];
  session.on("change", (change) => changes.push(change));
  const waiting = session.refresh().catch((error: Error) => error.name);
  await after(100);
  session.close();
  answer();
  assert.equal(await waiting, "SessionClosed");
  await after(100);
  assert.deepEqual([session.status, session.user, changes.length], ["out", null, 0]);
});

test("a closed session leaves requests to other origins alone", async (t) => {
  const [session, server] = await begin(t, { restore: false, url: "http://127.0.0.1:9/auth" });
  session.close();
  assert.equal((await session.fetch(`${server.url}/api`)).status, 200);
});
