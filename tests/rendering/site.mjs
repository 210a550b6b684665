// A site that renders pages in front of a Python API, once for each kind of server: node site.mjs KIND OPTIONS
import { createServer } from "node:http";
import { createPages } from "../../js/dist/server.js";

const [kind, given] = process.argv.slice(2);
const { api, ...options } = JSON.parse(given);
const pages = createPages({ url: `${api}/auth`, ...options });

/** What every kind of server renders; `session` is that of the request. */
async function render(request, session) {
  const { pathname, searchParams } = new URL(request.url);
  if (pathname === "/echo") return new Response(await request.text());
  if (pathname === "/public") return new Response("everybody's", { headers: { "cache-control": "public, max-age=60" } });
  if (pathname === "/elsewhere") return session.fetch(searchParams.get("url"));
  if (pathname === "/moved") return Response.redirect(new URL("/", request.url), 303);
  const answers = await Promise.all(
    Array.from({ length: 5 }, () => session.fetch("/api/notes").then((answer) => answer.status, (error) => error.code)),
  );
  const token = await session.token().then(() => "token", (error) => error.code);
  const seen = pages.session(request.headers).user?.username ?? null;
  return Response.json({ status: session.status, user: session.user?.username ?? null, seen, answers, token });
}

const isAuth = (url) => new URL(url).pathname.startsWith("/auth/");

const kinds = {
  async web() {
    serve((request, client) => (isAuth(request.url) ? pages.auth(request, client) : pages.handle(request, render, client)));
  },
  async hono() {
    const { Hono } = await import("hono");
    const { serve: listen } = await import("@hono/node-server");
    const { getConnInfo } = await import("@hono/node-server/conninfo");
    const clientOf = (c) => ({ address: getConnInfo(c).remote.address });
    const app = new Hono();
    app.all("/auth/*", (c) => pages.auth(c.req.raw, clientOf(c)));
    app.use(async (c, next) => {
      const login = await pages.processRequest(c.req.raw, clientOf(c));
      if (login.refusal) return login.refusal;
      c.set("session", login.session);
      c.set("headers", login.headers);
      await next();
      const answer = login.processResponse(c.res);
      c.res = undefined; // else Hono puts the headers of the old response over ours
      c.res = answer;
    });
    app.all("*", (c) => render(new Request(c.req.raw, { headers: c.get("headers") }), c.get("session")));
    listen({ fetch: app.fetch, port: 0, hostname: "127.0.0.1" }, ({ port }) => ready(port));
  },
  async h3() {
    const h3 = await import("h3");
    const app = h3.createApp();
    const clientOf = (event) => ({ address: h3.getRequestIP(event) });
    app.use("/auth", h3.defineEventHandler((event) => pages.auth(h3.toWebRequest(event), clientOf(event))));
    app.use(
      h3.defineEventHandler(async (event) => {
        const { method, headers } = event;
        const request = new Request(h3.getRequestURL(event), { method, headers });
        const login = await pages.processRequest(request, clientOf(event));
        if (login.refusal) return login.refusal;
        event.context.session = login.session;
        event.context.login = login;
        event.node.req.headers.authorization = login.headers.get("authorization") ?? undefined;
      }),
    );
    app.use(
      h3.defineEventHandler(async (event) => {
        const { login, session } = event.context;
        return login.processResponse(await render(new Request(h3.toWebRequest(event), { headers: login.headers }), session));
      }),
    );
    const server = createServer(h3.toNodeListener(app));
    server.listen(0, "127.0.0.1", () => ready(server.address().port));
  },
};
await kinds[kind]();

/** Serve a Web standard handler by Node's own server. */
function serve(handler) {
  const server = createServer(async (incoming, outgoing) => {
    const { method, url, headers } = incoming;
    const body = /^(GET|HEAD)$/.test(method) ? undefined : incoming;
    const request = new Request(`http://${headers.host}${url}`, { method, headers, body, duplex: "half" });
    const response = await handler(request, { address: incoming.socket.remoteAddress });
    outgoing.writeHead(response.status, [...response.headers].flat());
    outgoing.end(Buffer.from(await response.arrayBuffer()));
  });
  server.listen(0, "127.0.0.1", () => ready(server.address().port));
}

function ready(port) {
  console.log(port);
  process.stdin.resume().on("end", () => process.exit()); // it ends with whoever started it
}
