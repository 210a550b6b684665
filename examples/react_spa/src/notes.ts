// What the page asks of the API, and how it learns of changes.
import { QueryClient, queryOptions } from "@tanstack/react-query";
import { LoginRequired } from "daypass";
import { session } from "./session";

export interface Note {
  by: string;
  text: string;
}

export const queryClient = new QueryClient({
  defaultOptions: { queries: { retry: (failures, error) => failures < 3 && !(error instanceof LoginRequired) } },
});

export const notes = queryOptions({
  queryKey: ["notes"],
  queryFn: async ({ signal }): Promise<Note[]> => (await ask("/api/notes", { signal })).json(),
});

export async function addNote(text: string): Promise<void> {
  const body = JSON.stringify({ text });
  await ask("/api/notes", { method: "POST", headers: { "content-type": "application/json" }, body });
}

/** Reload the notes whenever they change, and after a connection was lost; returns what stops it. */
export function followChanges(): () => void {
  const reload = () => void queryClient.invalidateQueries(notes);
  const opening = session.socket("/api/changes").then((socket) => {
    for (const type of ["message", "reconnected"]) socket.addEventListener(type, reload);
    return socket;
  });
  return () => void opening.then((socket) => socket.close());
}

async function ask(url: string, init: RequestInit): Promise<Response> {
  const response = await session.fetch(url, init);
  if (!response.ok) throw new Error(`${url}: HTTP ${response.status}`);
  return response;
}

/** Forget what one user has loaded before another one sees the page. */
function forgetAtLoginEnd(): void {
  session.signal.addEventListener("abort", () => {
    queryClient.clear();
    forgetAtLoginEnd();
  });
}
forgetAtLoginEnd();
