// Finds the login of each request, and refreshes if needed. /auth/login, /auth/refresh and so on are passed on to Python.
import type { Handle } from "@sveltejs/kit";
import { createPages } from "daypass/server";

// the one place that knows where the Python API is
const pages = createPages({
  url: process.env.DAYPASS_URL ?? "http://127.0.0.1:8000/auth",
  // in production: trusted_proxies for this server's address in Python
});

export const handle: Handle = async ({ event, resolve }) => {
  if (event.url.pathname.startsWith("/auth/")) return pages.auth(event.request);
  const login = await pages.processRequest(event.request);
  if (login.refusal) return login.refusal;
  event.locals.session = login.session;
  return login.processResponse(await resolve(event));
};
