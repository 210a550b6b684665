/** The access token, for what is not sent by `fetch`. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { LoginRequired, RefreshUnavailable } from "../src/index.ts";
import { after, begin } from "./begin.ts";

const lifetime = (seconds: number) => {
  let count = 0;
  return (answer: import("node:http").ServerResponse) => {
    answer.writeHead(200, { "content-type": "application/json" });
    answer.end(JSON.stringify({ accessToken: `t${++count}`, expiresIn: seconds }));
  };
};

test("a token is good for as long as is asked, by one refresh for all who ask", async (t) => {
  const [session, server] = await begin(t);
  server.refresh = lifetime(2);
  assert.deepEqual(new Set(await Promise.all([session.token(), session.token()])), new Set(["t1"]));
  assert.equal(await session.token({ goodFor: 900 }), "t1");
  await after(1150);
  assert.equal(await session.token({ goodFor: 100 }), "t1");
  assert.equal(await session.token({ goodFor: 60_000 }), "t2");
  assert.equal(await session.token({ goodFor: 60_000 }), "t2");
});

test("a token that is still good is returned while the server is down, an expired one is RefreshUnavailable", async (t) => {
  const [session, server] = await begin(t);
  server.refresh = lifetime(4);
  await session.token();
  server.refresh = (answer) => void answer.writeHead(503).end();
  await after(2200);
  assert.equal(await session.token(), "t1");
  await after(1700);
  await assert.rejects(session.token(), RefreshUnavailable);
});

test("where nobody is logged in there is no token: LoginRequired", async (t) => {
  const [session] = await begin(t, { restore: false });
  await assert.rejects(session.token(), LoginRequired);
  await assert.rejects(session.token({ goodfor: 1 } as never), /unknown option 'goodfor'/);
  await assert.rejects(session.token({ goodFor: "1m" as never }), /goodFor: "1m": expected a value such as 5000/);
});
