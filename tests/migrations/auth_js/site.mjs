// An application with Auth.js, which answers /login with a session, /me with its user, and has Auth.js's own routes.
//
// node site.mjs PORT KIND [ARGUMENT]: `jwt` keeps the session in the cookie, `database` in the PostgreSQL at a URL, and
// `config` takes the rest from a file. MOVE is a file with another route, `POST /move`.
import { createServer } from "node:http";
import { pathToFileURL } from "node:url";
import { Auth, skipCSRFCheck } from "@auth/core";
import Credentials from "@auth/core/providers/credentials";
import PostgresAdapter from "@auth/pg-adapter";
import pg from "pg";

const [port, kind, argument] = process.argv.slice(2);
const mails = new Map();
const own = process.env.MOVE && (await import(pathToFileURL(process.env.MOVE)));
const load = (file) => import(pathToFileURL(file));

const KINDS = {
  jwt: () => ({
    providers: [Credentials({ credentials: { user: {} }, authorize: ({ user }) => ({ id: user, name: user }) })],
    session: { strategy: "jwt" },
    callbacks: { jwt: ({ token }) => ({ ...token, sid: token.sid ?? crypto.randomUUID() }) },
  }),
  database: () => ({
    adapter: PostgresAdapter(new pg.Pool({ connectionString: argument })),
    providers: [
      {
        id: "email",
        type: "email",
        name: "Email",
        from: "app@example.com",
        maxAge: 600,
        sendVerificationRequest: ({ identifier, url }) => mails.set(identifier, url),
      },
    ],
    session: { strategy: "database" },
    callbacks: { session: ({ session, user }) => ({ ...session, user: { name: String(user.id) } }) },
  }),
  config: async () => (await load(argument)).default,
};
const config = { secret: process.env.AUTH_SECRET, trustHost: true, basePath: "/api/auth", skipCSRFCheck, ...(await KINDS[kind]()) };

const form = (url, fields) => Auth(new Request(url, { method: "POST", body: new URLSearchParams(fields) }), config);

async function logIn(request) {
  const fields = await request.json();
  const at = (path) => new URL(path, request.url);
  if (kind !== "database") return form(at("/api/auth/callback/credentials"), fields);
  await form(at("/api/auth/signin/email"), { email: fields.user });
  return Auth(new Request(mails.get(fields.user)), config);
}

/** Pass the cookies of Auth.js's answer on, with another body. */
function answer(from, status, body) {
  const headers = new Headers({ "content-type": "application/json" });
  for (const cookie of from.headers.getSetCookie()) headers.append("set-cookie", cookie);
  return new Response(JSON.stringify(body), { status, headers });
}

async function respond(request) {
  const { pathname } = new URL(request.url);
  if (pathname.startsWith("/api/auth/")) return Auth(request, config);
  if (pathname === "/move") return own.POST(request);
  if (pathname === "/login") {
    const found = await logIn(request);
    const refused = found.headers.get("location")?.includes("error=");
    return answer(found, refused ? 401 : 200, {});
  }
  const headers = { cookie: request.headers.get("cookie") ?? "" };
  const found = await Auth(new Request(new URL("/api/auth/session", request.url), { headers }), config);
  const session = await found.json();
  return answer(found, session ? 200 : 401, { user: session?.user.name, accessToken: session?.accessToken });
}

async function body(incoming) {
  const parts = [];
  for await (const part of incoming) parts.push(part);
  return parts.length ? Buffer.concat(parts) : undefined;
}

const server = createServer(async (incoming, outgoing) => {
  const { method, headers, url } = incoming;
  const request = new Request(`http://${headers.host}${url}`, { method, headers, body: await body(incoming) });
  const response = await respond(request);
  outgoing.setHeader("set-cookie", response.headers.getSetCookie());
  for (const [name, value] of response.headers) if (name !== "set-cookie") outgoing.setHeader(name, value);
  outgoing.writeHead(response.status).end(Buffer.from(await response.arrayBuffer()));
});
server.listen(Number(port), "127.0.0.1", () => process.stdout.write(`${server.address().port}\n`));
