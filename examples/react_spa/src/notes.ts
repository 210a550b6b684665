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

/** Reload the notes whenever they change, connecting again when the connection is lost; returns what stops it. */
export function followChanges(): () => void {
  let socket: WebSocket;
  let again = 0;
  const open = () => {
    socket = new WebSocket("/api/changes");
    socket.onopen = authenticate;
    socket.onmessage = () => void queryClient.invalidateQueries(notes);
    socket.onclose = () => (again = setTimeout(open, 1000));
  };
  const authenticate = async () => {
    if (socket.readyState !== WebSocket.OPEN) return;
    try {
      socket.send(JSON.stringify({ type: "daypass.token", accessToken: await session.token() }));
    } catch {
      socket.close();
    }
  };
  const stopListening = session.on("refreshed", authenticate);
  open();
  return () => {
    stopListening();
    clearTimeout(again);
    socket.onclose = null;
    socket.close();
  };
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
