// The one place that knows where the Python API is.
import { headers } from "next/headers";
import { createPages } from "daypass/server";

export const pages = createPages({
  url: process.env.DAYPASS_URL ?? "http://127.0.0.1:8000/auth",
  // in production: origin: "https://app.example.com", and trusted_proxies for this server's address in Python
});

/** Return the session of the page that is being rendered. */
export async function currentSession() {
  return pages.session(await headers());
}

/** Ask the API in Python for the page. Null if the session was ended elsewhere a moment ago: show what a stranger sees. */
export async function ask<T>(path: string): Promise<T | null> {
  const session = await currentSession();
  const answer = await session.fetch(path, { cache: "no-store" }).catch((error) => {
    return error.code === "login_required" ? null : Promise.reject(error);
  });
  return answer && answer.json();
}
