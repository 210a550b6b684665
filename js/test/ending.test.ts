/** A page is warned before its session ends, can extend it, and is logged out where nobody is there. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { LoginRequired, RefreshUnavailable, type SessionOptions, createSession } from "../src/index.ts";
import { after, begin, until } from "./begin.ts";

async function watched(t: TestContext, ends: number, options: SessionOptions = {}) {
  const [session, server] = await begin(t, { restore: false, ...options });
  Object.assign(server, { ends, lifetime: 600 });
  const happened: string[] = [];
  for (const name of ["ending", "extended", "loggedOut"] as const) session.on(name, () => happened.push(name));
  await after(50); // the part is loaded
  await session.login({});
  server.asked.length = 0;
  return { session, server, happened };
}

test("a page is warned before the end and told when the session goes on", async (t) => {
  const { session, server, happened } = await watched(t, 3, { warnBefore: 1500 });
  const left = new Promise<number>((go) => session.on("ending", (event) => go(event.left)));
  await after(1300);
  assert.deepEqual(happened, []);
  const milliseconds = await left;
  assert.ok(milliseconds > 1200 && milliseconds <= 1500, String(milliseconds));
  const extended = await session.extend();
  assert.ok(extended > 2800 && extended <= 3000, String(extended));
  assert.deepEqual(server.asked, ["POST /auth/refresh"]);
  await after(50);
  assert.deepEqual(happened, ["ending", "extended"]);
});

test("a user who is there is not warned: the server is told instead", async (t) => {
  const { session, server, happened } = await watched(t, 2, { warnBefore: 1000 });
  await session.fetch(`${server.url}/api`);
  await after(1500);
  assert.deepEqual([happened, server.asked.slice(1)], [[], ["POST /auth/refresh"]]);
});

test("a session that has ended is found out, and one that cannot be extended says why", async (t) => {
  const { session, server, happened } = await watched(t, 1);
  server.refresh = (answer) => void answer.writeHead(503).end();
  await assert.rejects(session.extend(), RefreshUnavailable);
  server.refresh = (answer) => void answer.writeHead(401).end("{}");
  await new Promise((go) => session.on("loggedOut", go));
  assert.deepEqual(happened, ["ending", "loggedOut"]);
  await assert.rejects(session.extend(), LoginRequired);
});

test("where the server does not say when sessions end, nothing is warned of and extending works", async (t) => {
  const { session, server, happened } = await watched(t, undefined as never, { warnBefore: 1e6 });
  assert.equal(await session.extend(), Infinity);
  await after(100);
  assert.deepEqual([server.asked, happened], [["POST /auth/refresh"], []]);
});

/** Make this process a page that takes input, with a storage; returns what an input does. */
function page(t: TestContext): (type?: string) => void {
  const document = new EventTarget();
  const stored = new Map<string, string>();
  const storage = {
    getItem: (name: string) => stored.get(name) ?? null,
    setItem: (name: string, value: string) => void stored.set(name, value),
    removeItem: (name: string) => void stored.delete(name),
  };
  const before = Object.getOwnPropertyDescriptor(globalThis, "localStorage");
  Object.assign(globalThis, { document: Object.assign(document, { visibilityState: "hidden", baseURI: location.href }) });
  Object.defineProperty(globalThis, "localStorage", { value: storage, configurable: true });
  t.after(() => {
    Reflect.deleteProperty(globalThis, "document");
    Reflect.deleteProperty(globalThis, "localStorage");
    if (before) Object.defineProperty(globalThis, "localStorage", before);
  });
  return (type = "keydown") => void document.dispatchEvent(new Event(type));
}

test("without input in any tab all are logged out, after a warning; input in one tab is enough for all", async (t) => {
  const input = page(t);
  const options = { idle: { after: 2400 }, warnBefore: 800 };
  const { session, server, happened } = await watched(t, 600, options);
  const other = createSession({ url: `${server.url}/auth`, ...options });
  t.after(() => other.close());
  await other.ready;
  await session.fetch(`${server.url}/api`); // a request is no input
  await after(1700);
  assert.deepEqual(happened, ["ending"]);
  input();
  await after(50);
  assert.deepEqual(happened, ["ending", "extended"]);
  const reason = new Promise((go) => other.on("loggedOut", (event) => go(event.reason)));
  assert.equal(await reason, "idle");
  await until(() => happened.includes("loggedOut"));
  assert.deepEqual(happened, ["ending", "extended", "ending", "loggedOut"]);
  await until(() => server.asked.includes("POST /auth/logout"));
  assert.ok(server.asked.includes("POST /auth/logout"));
});

test("with idle by input, requests are passive, and input makes the next refresh the user's", async (t) => {
  const input = page(t);
  const { session, server } = await watched(t, 600, { idle: {}, ahead: 0 });
  server.lifetime = 1;
  await session.refresh();
  await after(1050);
  await session.fetch(`${server.url}/api`);
  input();
  await after(1050);
  await session.fetch(`${server.url}/api`);
  const refreshes = server.asked.filter((each) => each.includes("refresh"));
  assert.deepEqual(refreshes, ["POST /auth/refresh", "POST /auth/refresh passive", "POST /auth/refresh"]);
});
