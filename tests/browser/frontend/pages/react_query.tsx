import { QueryClientProvider, useQuery } from "@tanstack/react-query";
import { RequireLogin, SessionProvider, useUser } from "daypass/react";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { Login } from "../src/Login";
import { notes, queryClient } from "../src/queries";
import { session } from "../src/session";
import { expose } from "./_world";

function List() {
  const user = useUser();
  const { data, error, status } = useQuery(notes);
  return <p id="list" data-status={status}>{`${user?.username}: ${data?.join(", ") ?? error?.name ?? "…"}`}</p>;
}

createRoot(document.getElementById("root")!).render(
  <StrictMode>
    <SessionProvider session={session}>
      <QueryClientProvider client={queryClient}>
        <RequireLogin login={<Login />}>
          <List />
        </RequireLogin>
      </QueryClientProvider>
    </SessionProvider>
  </StrictMode>,
);
expose(session, { queryClient });
