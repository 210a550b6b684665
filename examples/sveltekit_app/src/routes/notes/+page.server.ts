import { ask } from "../../lib/server/api";
import type { PageServerLoad } from "./$types";

export const load: PageServerLoad = async (event) => {
  const [{ notes }, { email }] = await Promise.all([
    ask<{ notes: string[] }>(event, "/api/notes"),
    ask<{ email: string }>(event, "/api/profile"),
  ]);
  return { notes, email };
};
