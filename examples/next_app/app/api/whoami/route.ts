// A route handler: JSON for any client, from the API in Python.
import { currentSession } from "../../../daypass";

export async function GET() {
  const session = await currentSession();
  try {
    const answer = await session.fetch("/api/profile", { cache: "no-store" });
    const headers = { "content-type": answer.headers.get("content-type") ?? "application/json" };
    return new Response(answer.body, { status: answer.status, headers });
  } catch (error) {
    return Response.json({}, { status: (error as { code?: string }).code === "login_required" ? 401 : 503 });
  }
}
