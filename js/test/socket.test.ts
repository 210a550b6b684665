/** A WebSocket of a session: it lasts as long as the login, and its token is renewed on it. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import type { Session } from "../src/index.ts";
import type { SessionSocket, SocketClose, SocketOptions } from "../src/socket.ts";
import { webSocketImpl } from "../src/socket.ts";
import { after, begin } from "./begin.ts";
import { type Server, jwt } from "./server.ts";
import { type Peer, accepting, serveSockets } from "./socket_server.ts";

interface Opened {
  session: Session;
  server: Server;
  peers: Peer[];
  socket: SessionSocket;
  /** Its events, in order. */
  seen: string[];
}

async function open(t: TestContext, connected: (peer: Peer, count: number) => void, options: SocketOptions = {}): Promise<Opened> {
  const [session, server] = await begin(t, { restore: false });
  server.user = "ann";
  await session.refresh();
  return { session, server, ...(await openIn(session, server, connected, options)) };
}

async function openIn(session: Session, server: Server, connected: (peer: Peer, count: number) => void, options: SocketOptions = {}) {
  const peers = serveSockets(server, connected);
  const socket = await session.socket(`${server.url}/notes`, options);
  const seen: string[] = [];
  for (const type of ["open", "reconnecting", "reconnected"] as const) socket.addEventListener(type, () => seen.push(type));
  socket.onmessage = ({ data }) => seen.push(data);
  socket.onerror = ({ error }) => seen.push((error as Error).name);
  socket.onclose = ({ code, reason }) => seen.push(`closed ${code} ${reason}`.trim());
  return { peers, socket, seen };
}

/** Wait until something holds. */
async function until(holds: () => unknown, within = 5000): Promise<void> {
  for (const end = performance.now() + within; !holds(); await after(5)) assert.ok(performance.now() < end, "in time");
}

const grants = (server: Server, token: () => string, expiresIn: number) => {
  server.refresh = (answer) => {
    answer.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify({ accessToken: token(), expiresIn }));
  };
};

const tokens = (peer: Peer) => peer.got.filter((text) => text.includes("daypass.token"));
const texts = (peer: Peer) => peer.got.filter((text) => !text.includes("daypass.token"));
const refreshes = (server: Server) => server.asked.filter((each) => each.includes("/auth/refresh")).length;

test("the first message has the access token, and where to go on; then what was kept goes out in order", async (t) => {
  const { peers, socket, seen } = await open(t, accepting(), { resume: () => 7 });
  assert.equal(socket.readyState, socket.CONNECTING);
  for (const each of ["1", "2", "3"]) socket.send(each);
  assert.equal(socket.bufferedAmount, 3);
  await until(() => peers[0]?.got.length === 4);
  const { accessToken, ...first } = JSON.parse(peers[0]!.got[0]!);
  assert.match(accessToken, /^x\./);
  assert.deepEqual([first, texts(peers[0]!)], [{ type: "daypass.token", resume: 7 }, ["1", "2", "3"]]);
  peers[0]!.send("hello");
  await until(() => seen.length === 2);
  assert.deepEqual(seen, ["open", "hello"]);
  socket.close(1000, "done");
  await until(() => seen.length === 3);
  assert.deepEqual([seen[2], peers[0]!.closed, socket.readyState], ["closed 1000 done", 1000, socket.CLOSED]);
});

test("the access token may come as a subprotocol; there is no first message then", async (t) => {
  const { peers, socket, seen } = await open(t, (peer) => peer.accept(), { authenticate: "subprotocol", protocols: "notes" });
  socket.send("hello");
  await until(() => peers[0]?.got.length);
  assert.deepEqual([peers[0]!.got, seen, socket.protocol], [["hello"], ["open"], "notes"]);
  assert.deepEqual(peers[0]!.offered.slice(0, 2), ["notes", "daypass.token"]);
  assert.match(peers[0]!.offered[2]!, /^daypass\.token\.x\.[\w-]+\.x$/);
});

test("a newer token is sent on the same connection before the time of the old one is up", async (t) => {
  const [session, server] = await begin(t, { restore: false });
  grants(server, () => jwt("ann"), 1.2);
  await session.refresh();
  const { peers, seen } = await openIn(session, server, accepting(1));
  await until(() => peers[0] && new Set(tokens(peers[0])).size >= 3);
  assert.deepEqual([peers.length, seen], [1, ["open"]]);
});

test("a server whose time is up sooner than the session thinks is sent a newer token, by one refresh each time", async (t) => {
  const { server, peers } = await open(t, accepting(1));
  await until(() => peers[0] && tokens(peers[0]).length >= 3);
  assert.deepEqual([new Set(tokens(peers[0]!)).size, refreshes(server)], [3, 3]);
});

test("a server that goes by a token for a moment only is sent no more than two a second", async (t) => {
  const { server, peers, seen } = await open(t, accepting(0));
  await until(() => seen.length);
  await after(1200);
  assert.ok(tokens(peers[0]!).length <= 4, `${tokens(peers[0]!).length}`);
  assert.equal(refreshes(server), 1);
});

test("a lost connection comes back by itself; what was sent meanwhile goes out once, after what the application repeats", async (t) => {
  let last = 0;
  const { peers, socket, seen } = await open(t, accepting(), { resume: () => last });
  await until(() => seen.length === 1);
  last = 41;
  socket.addEventListener("reconnected", () => socket.send("again"));
  socket.addEventListener("reconnecting", () => (socket.send("a"), socket.send("b")));
  peers[0]!.socket.destroy();
  await until(() => peers[1]?.got.length === 4);
  assert.deepEqual([JSON.parse(peers[1]!.got[0]!).resume, texts(peers[1]!)], [41, ["again", "a", "b"]]);
  assert.deepEqual(seen, ["open", "reconnecting", "reconnected"]);
});

test("4401 at the opening costs one refresh, and the next connection has the new token", async (t) => {
  const newer = jwt("ann");
  const { server, seen, peers } = await open(t, accepting(60, (token) => token === newer));
  grants(server, () => newer, 60);
  const before = refreshes(server);
  await until(() => seen.includes("open"));
  assert.deepEqual([JSON.parse(peers.at(-1)!.got[0]!).accessToken, refreshes(server) - before], [newer, 1]);
});

test("4403 ends it with LoginRequired if the server says that the session is over, after one refresh", async (t) => {
  const { session, server, peers, socket, seen } = await open(t, accepting());
  await until(() => seen.length === 1);
  await after(1100); // a token that came only now would not be replaced
  server.refresh = (answer) => answer.writeHead(401, { "content-type": "application/json" }).end("{}");
  const before = refreshes(server);
  peers[0]!.close(4403, "session_revoked");
  await until(() => socket.readyState === socket.CLOSED);
  assert.deepEqual(seen.slice(-2), ["LoginRequired", "closed 4403 login_required"]);
  assert.deepEqual([refreshes(server) - before, peers.length, session.status], [1, 1, "out"]);
});

test("1008 for a login that is too old waits for the session's confirmation, at the opening and later", async (t) => {
  const [session, server] = await begin(t, { restore: false });
  server.user = "ann";
  await session.login({});
  server.asked.length = 0;
  const recent = (token: string) => JSON.parse(atob(token.split(".")[1]!)).auth_time !== undefined;
  const { peers, socket, seen } = await openIn(session, server, (peer) => {
    peer.onText = (text) => {
      const { accessToken = "" } = JSON.parse(text);
      recent(accessToken) ? peer.accept() : peer.close(1008, 'insufficient_user_authentication, max_age="300", acr_values="mfa"');
    };
  });
  const asked: unknown[][] = [];
  const stop = session.on("stepUp", ({ url, maxAge, acrValues }) => asked.push([url, maxAge, acrValues]));
  await until(() => asked.length);
  await session.confirm({ password: "right" });
  await until(() => seen.includes("open"));
  assert.deepEqual([asked, peers.length], [[[`${server.url}/notes`, 300_000, ["mfa"]]], 2]);
  stop();
  peers[1]!.close(1008, "insufficient_user_authentication");
  await until(() => socket.readyState === socket.CLOSED);
  assert.deepEqual(seen, ["open", "StepUpRequired", "closed 1006 step_up_required"]);
  assert.equal(refreshes(server), 0);
});

test("after its opening nothing that a socket needs keeps the session alive: renewals, further connections", async (t) => {
  const [session, server] = await begin(t, { restore: false });
  Object.assign(server, { ends: 600, lifetime: 1 });
  await session.login({});
  server.asked.length = 0;
  const { peers, seen } = await openIn(session, server, accepting(1));
  await until(() => peers[0] && tokens(peers[0]).length === 3);
  peers[0]!.socket.destroy();
  await until(() => seen.includes("reconnected") && tokens(peers[1]!).length === 2);
  const [first, ...later] = server.asked.filter((each) => each.includes("refresh"));
  assert.equal(first, "POST /auth/refresh");
  assert.ok(later.length >= 2);
  assert.deepEqual(new Set(later), new Set(["POST /auth/refresh passive"]));
});

test("logging out, another user, and closing the session end it at once", async (t) => {
  for (const end of ["logout", "other", "close"]) {
    const { session, server, peers, socket, seen } = await open(t, accepting());
    await until(() => seen.length === 1);
    if (end === "logout") await session.logout();
    else if (end === "other") (server.user = "bob"), await session.login({ username: "bob" });
    else session.close();
    await until(() => socket.readyState === socket.CLOSED && peers[0]!.closed !== undefined);
    const expected = end === "close" ? ["SessionClosed", "closed 1006 session_closed"] : ["LoginRequired", "closed 4403 login_required"];
    assert.deepEqual(seen.slice(1), expected);
    await after(50);
    assert.equal(peers.length, 1);
  }
});

test("nobody is logged in: LoginRequired, and no connection", async (t) => {
  const [session, server] = await begin(t, { restore: false });
  const { peers, socket, seen } = await openIn(session, server, accepting());
  await until(() => socket.readyState === socket.CLOSED);
  assert.deepEqual([seen, peers.length], [["LoginRequired", "closed 4403 login_required"], 0]);
});

test("what the server means as final ends it; 1013 is tried again later", async (t) => {
  for (const code of [1000, 1008, 4000]) {
    const { peers, socket, seen } = await open(t, accepting());
    await until(() => seen.length === 1);
    peers[0]!.close(code, "no");
    await until(() => socket.readyState === socket.CLOSED);
    assert.deepEqual(seen, ["open", `closed ${code} no`]);
  }
  const { socket, peers } = await open(t, (peer, count) => (count === 1 ? peer.close(1013) : accepting()(peer)));
  const waited = new Promise<number>((go) => socket.addEventListener("reconnecting", ({ wait }) => go(wait)));
  assert.ok((await waited) >= 1000);
  await until(() => socket.readyState === socket.OPEN);
  assert.equal(peers.length, 2);
});

test("the application may decide whether to connect again", async (t) => {
  const asked: SocketClose[] = [];
  const { peers, socket, seen } = await open(t, accepting(), { reconnect: (close) => (asked.push(close), close.code === 4000) });
  await until(() => seen.length === 1);
  peers[0]!.close(4000, "deploy");
  await until(() => seen.includes("reconnected"));
  peers[1]!.close(4001);
  await until(() => socket.readyState === socket.CLOSED);
  assert.deepEqual([asked.map(({ code }) => code), peers.length], [[4000, 4001], 2]);
});

test("a server that does not answer to the token is left after ten seconds, and pauses grow", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const { socket, peers } = await open(t, () => {});
  const waits: number[] = [];
  socket.addEventListener("reconnecting", ({ wait }) => waits.push(wait));
  while (waits.length < 4) {
    await new Promise(setImmediate);
    t.mock.timers.tick(1000);
  }
  assert.ok(waits[3]! >= 2000 && waits[3]! > waits[0]! && peers.length >= 4, `${waits}`);
  socket.close();
});

test("what the application's own functions throw, and protocols that cannot be, end it with that error", async (t) => {
  const fails = () => {
    throw new RangeError("no");
  };
  for (const [options, expected] of [
    [{ resume: fails }, "RangeError"],
    [{ protocols: ["a", "a"] }, "SyntaxError"],
    [{ reconnect: fails }, "RangeError"],
  ] as const) {
    const { socket, seen } = await open(t, (peer) => peer.close(1013), options);
    await until(() => socket.readyState === socket.CLOSED);
    assert.deepEqual(seen, [expected, `closed 1006 ${expected}`]);
  }
});

test("more than the queue holds is refused; what is kept is a copy", async (t) => {
  const { socket, peers } = await open(t, accepting(), { queue: 4 });
  const bytes = new Uint8Array([1, 2, 3]);
  socket.send(bytes);
  bytes[0] = 9;
  assert.throws(() => socket.send("12"), { name: "QuotaExceededError" });
  socket.send("x");
  await until(() => peers[0]?.got.length === 2);
  assert.deepEqual(texts(peers[0]!), ["x"]);
});

test("options and URLs that cannot work are refused", async (t) => {
  const { session, server, seen } = await open(t, accepting());
  await assert.rejects(session.socket("/x", { authenticate: "header" as never }), /authenticate: "header": expected 'message' or 'subprotocol'/);
  await assert.rejects(session.socket("/x", { authenticate: "subprotocol", resume: () => 1 }), /with resume/);
  await assert.rejects(session.socket("/x", { retry: 1 } as never), /unknown option 'retry'/);
  await assert.rejects(session.socket("mailto:x"), /expected a URL such as/);
  const elsewhere = await session.socket("ws://example.invalid/x");
  const failed = new Promise<Error>((go) => elsewhere.addEventListener("error", ({ error }) => go(error as Error)));
  assert.match((await failed).message, /url: "ws:\/\/example.invalid\/x": expected one of the session's origins/);
  assert.ok(server && seen);
});

test("a class for libraries that connect again by themselves: an expiry is 1012, which they take for passing", async (t) => {
  const { session, server, peers } = await open(t, accepting());
  const impl = webSocketImpl(session);
  assert.deepEqual([impl.CONNECTING, impl.OPEN, impl.CLOSING, impl.CLOSED], [0, 1, 2, 3]);
  const socket = new impl(`${server.url.replace("http", "ws")}/graphql`, "graphql-transport-ws");
  const closed = new Promise<number>((go) => (socket.onclose = ({ code }) => go(code)));
  await until(() => socket.readyState === socket.OPEN);
  assert.equal(socket.protocol, "graphql-transport-ws");
  peers.find(({ offered }) => offered.length)!.close(4401, "token_expired");
  assert.equal(await closed, 1012);
});
