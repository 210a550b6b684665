// Finds the login of each request, and refreshes if needed. /auth/login, /auth/refresh and so on are passed on to Python.
export default defineEventHandler(async (event) => {
  if (event.path.startsWith("/auth/")) return pages.auth(toWebRequest(event));
  const { method, headers } = event;
  const login = await pages.processRequest(new Request(getRequestURL(event), { method, headers }));
  if (login.refusal) return login.refusal;
  event.context.session = login.session;
  event.node.req.headers.cookie = login.headers.get("cookie") ?? undefined; // for what this page requests from this server
  for (const [name, value] of login.processResponse(new Response()).headers) appendResponseHeader(event, name, value);
});
