// The one place that knows where the Python API is.
import { headers } from "next/headers";
import { redirect } from "next/navigation";
import { createPages } from "daypass/server";

export const pages = createPages({
  url: process.env.DAYPASS_URL ?? "http://127.0.0.1:8000/auth",
  // in production: origin: "https://app.example.com", and trusted_proxies for this server's address in Python
});

/** Return the session of the page that is being rendered. */
export async function currentSession() {
  return pages.session(await headers());
}

/** Ask the API in Python for the page. If the session has just been ended elsewhere, render the page again: for a stranger. */
export async function ask<T>(path: string): Promise<T> {
  const session = await currentSession();
  const answer = await session.fetch(path, { cache: "no-store" }).catch((error) => {
    return error.code === "login_required" ? redirect("/") : Promise.reject(error);
  });
  return answer.json();
}
