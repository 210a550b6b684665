/** A small server on a real socket, whose refreshes do what a test wants. */
import { type IncomingMessage, type ServerResponse, createServer } from "node:http";
import type { AddressInfo } from "node:net";

export interface Server {
  url: string;
  /** Each request: method, path, and its Authorization header. */
  asked: string[];
  /** What is done at a refresh; by default it succeeds. */
  refresh: (answer: ServerResponse) => void;
  /** Whether an access token is good. */
  good: (token: string) => boolean;
  close(): Promise<unknown>;
}

export async function serve(): Promise<Server> {
  let count = 0;
  const json = (answer: ServerResponse, status: number, body: object) => {
    answer.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
  };
  const listening = createServer(async (request: IncomingMessage, answer: ServerResponse) => {
    const { authorization = "" } = request.headers;
    server.asked.push(`${request.method} ${request.url} ${authorization}`.trim());
    const pieces: Buffer[] = [];
    for await (const piece of request) pieces.push(piece as Buffer);
    if (request.url === "/auth/refresh") return server.refresh(answer);
    if (request.url === "/auth/logout") return void answer.writeHead(204).end();
    if (!server.good(authorization.slice(7))) return json(answer, 401, {});
    json(answer, 200, { got: Buffer.concat(pieces).toString() });
  });
  const server: Server = {
    url: "",
    asked: [],
    refresh: (answer) => json(answer, 200, { accessToken: `t${++count}`, expiresIn: 60 }),
    good: () => true,
    close: () => (listening.closeAllConnections(), new Promise((done) => listening.close(done))),
  };
  await new Promise<void>((ready) => listening.listen(0, "127.0.0.1", ready));
  server.url = `http://127.0.0.1:${(listening.address() as AddressInfo).port}`;
  return server;
}
