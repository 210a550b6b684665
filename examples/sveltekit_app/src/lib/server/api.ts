import { error, redirect, type RequestEvent } from "@sveltejs/kit";

/** Ask the API in Python for a page; if nobody is logged in, go to the login. */
export async function ask<T>({ locals, url }: Pick<RequestEvent, "locals" | "url">, path: string): Promise<T> {
  const toLogin = () => redirect(303, `/login?redirect=${encodeURIComponent(url.pathname + url.search)}`);
  if (!locals.session.user) toLogin();
  const answer = await locals.session.fetch(path).catch(({ code }) => {
    return code === "login_required" ? toLogin() : error(503, "Try again in a moment"); // the session has just ended
  });
  if (!answer.ok) error(answer.status, "The API refused");
  return answer.json();
}
