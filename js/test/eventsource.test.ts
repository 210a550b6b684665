/** Server-sent events of a session: they go on where they were, with a good token, for as long as the login lasts. */
import assert from "node:assert/strict";
import type { IncomingMessage, ServerResponse } from "node:http";
import { type TestContext, test } from "node:test";
import { readEvents } from "../src/event_fields.ts";
import type { EventStream, EventStreamOptions } from "../src/eventsource.ts";
import type { Session } from "../src/index.ts";
import { after, begin } from "./begin.ts";
import type { Server } from "./server.ts";

interface Opened {
  session: Session;
  server: Server;
  stream: EventStream;
  seen: string[];
  /** The requests for the stream. */
  asked: IncomingMessage[];
}

const SSE = { "content-type": "text/event-stream" };

async function open(t: TestContext, serve: (answer: ServerResponse, count: number) => void, options: EventStreamOptions = {}): Promise<Opened> {
  const [session, server] = await begin(t, { restore: false });
  server.user = "ann";
  await session.refresh();
  const asked: IncomingMessage[] = [];
  server.stream = (request, answer) => serve(answer, asked.push(request));
  const stream = await session.events(`${server.url}/events`, { retry: 10, ...options });
  t.after(() => stream.close());
  const seen: string[] = [];
  stream.onmessage = ({ data, lastEventId }) => seen.push(`${data} ${lastEventId}`.trim());
  stream.onerror = ({ error }) => seen.push(error ? (error as Error).name : "again");
  return { session, server, stream, seen, asked };
}

async function until(holds: () => unknown, within = 5000): Promise<void> {
  for (const end = performance.now() + within; !holds(); await after(5)) assert.ok(performance.now() < end, "in time");
}

const finished = ({ stream }: Opened) => stream.readyState === stream.CLOSED;

test("events of every type arrive, and the next request goes on after the last one", async (t) => {
  const opened = await open(t, (answer, count) => {
    answer.writeHead(200, SSE).end(count === 1 ? "id: 1\ndata: a\n\nevent: note\ndata: b\n\nid: 2\n\ndata: unfinished" : "data: c\n\n");
  });
  const notes: string[] = [];
  opened.stream.addEventListener("note", ({ data }: MessageEvent) => notes.push(data));
  await until(() => opened.asked.length === 2 && opened.seen.includes("c 2"));
  assert.deepEqual([opened.seen.slice(0, 3), notes], [["a 1", "again", "c 2"], ["b"]]);
  const [first, second] = opened.asked.map(({ headers }) => headers);
  assert.deepEqual([first!["last-event-id"], second!["last-event-id"], first!.accept], [undefined, "2", "text/event-stream"]);
  assert.match(first!.authorization!, /^Bearer x\./);
});

test("a refused token is renewed before the stream is asked for again", async (t) => {
  const opened = await open(t, (answer, count) => (count === 1 ? answer.writeHead(200, SSE).end("data: 1\n\n") : answer.writeHead(200, SSE).write("data: 2\n\n")), { retry: 1100 });
  await until(() => opened.seen.includes("1"));
  const { authorization } = opened.asked[0]!.headers;
  opened.server.good = (token) => !authorization!.endsWith(token);
  await until(() => opened.seen.includes("2"));
  assert.deepEqual(opened.seen, ["1", "again", "2"]);
  assert.notEqual(opened.asked.at(-1)!.headers.authorization, authorization);
});

test("a token of moments ago that is refused is renewed after a second; where that does not help the stream ends", async (t) => {
  const opened = await open(t, (answer) => answer.writeHead(200, SSE).end("data: 1\n\n"));
  await until(() => opened.seen.includes("1"));
  const { authorization } = opened.asked[0]!.headers;
  opened.server.good = (token) => !authorization!.endsWith(token);
  const before = opened.seen.length;
  await until(() => opened.seen.slice(before).includes("1"));
  assert.deepEqual(opened.seen.filter((each) => each === "TypeError"), ["TypeError"]);
  opened.server.good = () => false;
  await until(() => finished(opened), 8000);
  assert.equal(opened.seen.at(-1), "TypeError");
});

test("the server says how long to wait, 503 and Retry-After included", async (t) => {
  const at: number[] = [];
  const opened = await open(t, (answer, count) => {
    at.push(performance.now());
    if (count === 1) answer.writeHead(200, SSE).end("retry: 400\n\n");
    else if (count === 2) answer.writeHead(503, { "retry-after": "1" }).end();
    else answer.writeHead(200, SSE).write("data: back\n\n");
  });
  await until(() => opened.seen.includes("back"));
  assert.ok(at[1]! - at[0]! >= 380 && at[2]! - at[1]! >= 980, `${at}`);
  assert.deepEqual(opened.seen, ["again", "TypeError", "back"]);
});

test("204, 403 and another type end it; a connection that is cut does not", async (t) => {
  const ends: [number, Record<string, string>, string][] = [[204, {}, "again"], [403, {}, "TypeError"], [200, { "content-type": "text/html" }, "TypeError"]];
  for (const [status, headers, said] of ends) {
    const opened = await open(t, (answer) => answer.writeHead(status, headers).end());
    await until(() => finished(opened));
    assert.deepEqual([opened.seen, opened.asked.length], [[said], 1]);
  }
  const cut = await open(t, (answer, count) => {
    answer.writeHead(200, SSE).write(`data: ${count}\n\n`, () => count === 1 && answer.destroy());
  });
  await until(() => cut.seen.includes("2"));
  assert.deepEqual(cut.seen, ["1", "TypeError", "2"]);
});

test("a logout, another user and the end of the session end it at once", async (t) => {
  for (const end of ["logout", "other", "close"]) {
    const opened = await open(t, (answer) => answer.writeHead(200, SSE).write("data: 1\n\n"));
    const { session, server } = opened;
    await until(() => opened.seen.length);
    if (end === "logout") await session.logout();
    else if (end === "other") (server.user = "bob"), await session.login({ username: "bob" });
    else session.close();
    await until(() => finished(opened));
    await after(50);
    assert.deepEqual([opened.seen.slice(1), opened.asked.length], [[end === "close" ? "SessionClosed" : "LoginRequired"], 1]);
  }
});

test("close ends it without an event, also from a listener", async (t) => {
  const opened = await open(t, (answer) => answer.writeHead(200, SSE).write("data: 1\n\ndata: 2\n\n"));
  opened.stream.addEventListener("message", () => opened.stream.close());
  await until(() => finished(opened));
  await after(50);
  assert.deepEqual([opened.seen, opened.asked.length], [["1"], 1]);
});

test("what is sent besides is the application's, and checked at once", async (t) => {
  const opened = await open(t, (answer) => answer.writeHead(200, SSE).write("data: 1\n\n"), {
    lastEventId: "41",
    request: { method: "POST", body: "{}", headers: { "x-feed": "news" } },
  });
  await until(() => opened.seen.length);
  const { method, headers } = opened.asked[0]!;
  assert.deepEqual([method, headers["x-feed"], headers["last-event-id"]], ["POST", "news", "41"]);
  await assert.rejects(opened.session.events("/x", { request: { headers: { "not a header": "x" } } }), TypeError);
  await assert.rejects(opened.session.events("/x", { reconnect: 1 } as never), /unknown option 'reconnect'/);
});

test("the grammar holds for every line end, however the text is cut", () => {
  const text = ": c\nid: 1\nretry: 5\nretry: x\nevent: e\ndata:a\ndata:  b\ndata\n\nid\n\nid: n\0\ndata: c\n\nunknown: x\ndata: é\n\n\ndata: lost";
  for (const end of ["\n", "\r\n", "\r"]) {
    const whole = text.replaceAll("\n", end);
    for (const size of [1, 2, 3, 7, whole.length]) {
      const got: unknown[] = [];
      const read = readEvents({ event: (event) => got.push(event), id: (id) => got.push({ id }), retry: (retry) => got.push({ retry }) });
      for (let at = 0; at < whole.length; at += size) read(whole.slice(at, at + size));
      const message = (data: string) => ({ type: "message", data });
      assert.deepEqual(got, [{ retry: 5 }, { id: "1" }, { type: "e", data: "a\n b\n" }, { id: "" }, message("c"), message("é")]);
    }
  }
});
