// The API in Python, for pages: with the access token of their user.
import { error } from "@sveltejs/kit";
import type { RequestHandler } from "./$types";

export const GET: RequestHandler = async ({ locals, url }) => {
  const answer = await locals.session.fetch(url.pathname + url.search).catch(({ code }) => {
    return code === "login_required" ? error(401, "Log in") : error(503, "Try again in a moment");
  });
  const headers = { "content-type": answer.headers.get("content-type") ?? "application/json" };
  return new Response(answer.body, { status: answer.status, headers });
};
