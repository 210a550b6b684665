// The one place that knows where the Python API is.
import { createPages, type ServerSession } from "daypass/server";

export const pages = createPages({
  url: process.env.DAYPASS_URL ?? "http://127.0.0.1:8000/auth",
  // in production: origin: "https://app.example.com", and trusted_proxies for this server's address in Python
});

declare module "h3" {
  interface H3EventContext {
    session: ServerSession;
  }
}
