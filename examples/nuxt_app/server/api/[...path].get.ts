// The API in Python, for pages: with the access token of their user.
export default defineEventHandler(async (event) => {
  const answer = await event.context.session.fetch(event.path).catch((error) => {
    throw createError({ statusCode: error.code === "login_required" ? 401 : 503 });
  });
  const headers = { "content-type": answer.headers.get("content-type") ?? "application/json" };
  return new Response(answer.body, { status: answer.status, headers });
});
