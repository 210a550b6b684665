import type { ServerSession } from "daypass/server";

declare global {
  namespace App {
    interface Locals {
      session: ServerSession;
    }
  }
}
