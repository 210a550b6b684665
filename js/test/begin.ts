import type { TestContext } from "node:test";
import "./page.ts";
import { type Session, type SessionOptions, createSession } from "../src/index.ts";
import { type Server, serve } from "./server.ts";

/** Return a session and its server, both closed after the test. */
export async function begin(t: TestContext, options: SessionOptions = {}): Promise<[Session, Server]> {
  const server = await serve();
  const session = createSession({ url: `${server.url}/auth`, ...options });
  t.after(async () => {
    session.close();
    await server.close();
  });
  return [session, server];
}

export const after = (milliseconds: number): Promise<void> => new Promise((go) => setTimeout(go, milliseconds));

/** Wait until something holds, at most five seconds. */
export async function until(holds: () => unknown): Promise<void> {
  for (let turn = 0; !holds() && turn < 250; turn++) await after(20);
}
