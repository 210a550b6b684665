// A route handler: JSON for any client, from the API in Python.
import { currentSession } from "../../../daypass";

export async function GET() {
  const session = await currentSession();
  const answer = await session.fetch("/api/profile", { cache: "no-store" });
  return Response.json(await answer.json(), { status: answer.status });
}
