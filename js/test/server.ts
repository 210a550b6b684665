/** A small server on a real socket, whose refreshes do what a test wants. */
import { type Server as HTTPServer, type IncomingMessage, type ServerResponse, createServer } from "node:http";
import type { AddressInfo } from "node:net";

/** Return an access token of this user, another one each time. */
export const jwt = (sub: string, claims = {}): string =>
  `x.${Buffer.from(JSON.stringify({ sub, jti: Math.random(), ...claims })).toString("base64url")}.x`;

export interface Server {
  url: string;
  listening: HTTPServer;
  /** Each request: method, path, its Authorization header, and whether it is passive. */
  asked: string[];
  /** What is done at a refresh, and at a login; by default each succeeds, for `user` if there is one. */
  refresh: (answer: ServerResponse) => void;
  login: (answer: ServerResponse) => void;
  user: string;
  /** Claims of the access tokens of a `user`. `/api/recent` wants an `auth_time`, which `/auth/confirm` gives. */
  claims: Record<string, unknown>;
  /** Seconds that an access token lives, and that the session lasts without a refresh, if that is told. */
  lifetime: number;
  ends: number | undefined;
  /** The challenge of `/api/recent`. */
  stepUp: string;
  /** What is held back: requests for `/api/slow`, and the rest of the answers to `/api/stream`. */
  held: (() => void)[];
  /** What answers `/events`. */
  stream: (request: IncomingMessage, answer: ServerResponse) => void;
  /** Whether an access token is good. */
  good: (token: string) => boolean;
  close(): Promise<unknown>;
}

export async function serve(): Promise<Server> {
  let count = 0;
  const json = (answer: ServerResponse, status: number, body: object) => {
    answer.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
  };
  const token = () => (server.user ? jwt(server.user, { plan: "pro", ...server.claims }) : `t${++count}`);
  const listening = createServer(async (request: IncomingMessage, answer: ServerResponse) => {
    const { authorization = "" } = request.headers;
    const passive = request.headers["x-daypass-passive"] ? " passive" : "";
    server.asked.push(`${request.method} ${request.url} ${authorization}`.trim() + passive);
    const pieces: Buffer[] = [];
    for await (const piece of request) pieces.push(piece as Buffer);
    if (request.url === "/auth/refresh") return server.refresh(answer);
    if (request.url === "/auth/login") return server.login(answer);
    if (request.url === "/auth/confirm") {
      const { password } = JSON.parse(`${Buffer.concat(pieces)}`);
      if (password !== "right") return json(answer, 401, { error: "invalid_credentials" });
      server.claims = { ...server.claims, auth_time: Number(server.claims.auth_time ?? 0) + 1 };
      return json(answer, 200, { accessToken: token(), expiresIn: 60 });
    }
    if (request.url === "/api/stream") return void (answer.write("first"), server.held.push(() => answer.end("last")));
    if (request.url === "/api/slow") await new Promise<void>((go) => server.held.push(go));
    if (request.url === "/auth/logout") return void answer.writeHead(204).end();
    if (!server.good(authorization.slice(7))) return json(answer, 401, {});
    if (request.url === "/events") return server.stream(request, answer);
    if (request.url!.startsWith("/api/recent") && !server.claims.auth_time) {
      answer.setHeader("www-authenticate", server.stepUp);
      return json(answer, 401, { error: "insufficient_user_authentication" });
    }
    json(answer, 200, { got: Buffer.concat(pieces).toString() });
  });
  const server: Server = {
    url: "",
    listening,
    asked: [],
    refresh: (answer) => json(answer, 200, { accessToken: token(), expiresIn: server.lifetime, refreshExpiresIn: server.ends }),
    login: (answer) => server.refresh(answer),
    user: "",
    claims: {},
    lifetime: 60,
    ends: undefined,
    stepUp: 'Bearer error="insufficient_user_authentication", max_age="300"',
    held: [],
    stream: (_, answer) => void answer.writeHead(404).end(),
    good: () => true,
    close: () => (listening.closeAllConnections(), new Promise((done) => listening.close(done))),
  };
  await new Promise<void>((ready) => listening.listen(0, "127.0.0.1", ready));
  server.url = `http://127.0.0.1:${(listening.address() as AddressInfo).port}`;
  return server;
}
