/** A server that is slower than a refresh usually is. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { begin } from "./begin.ts";

test("a server that needs six seconds for a refresh gets them, and later refreshes at once", { timeout: 60_000 }, async (t) => {
  const [session, server] = await begin(t);
  const { refresh } = server;
  server.refresh = (answer) => void setTimeout(() => refresh(answer), 6000);
  await session.token();
  assert.equal(session.status, "in");
  await session.refresh();
  assert.deepEqual(server.asked, Array(3).fill("POST /auth/refresh"));
});
