import { QueryClientProvider } from "@tanstack/react-query";
import { RequireLogin, SessionProvider, useSession } from "daypass/react";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { BrowserRouter, Link, Outlet, Route, Routes } from "react-router";
import { DevicesPage } from "./DevicesPage";
import { LoginForm } from "./LoginForm";
import { NotesPage } from "./NotesPage";
import { queryClient } from "./notes";
import { session } from "./session";

function Layout() {
  const { session, user } = useSession();
  return (
    <>
      <nav>
        <Link to="/">Notes</Link> <Link to="/devices">Devices</Link> {user?.username}{" "}
        <button onClick={() => session.logout()}>Log out</button>
      </nav>
      <Outlet />
    </>
  );
}

createRoot(document.getElementById("root")!).render(
  <StrictMode>
    <SessionProvider session={session}>
      <QueryClientProvider client={queryClient}>
        <BrowserRouter>
          <RequireLogin login={<LoginForm />} pending={<p>One moment…</p>}>
            <Routes>
              <Route element={<Layout />}>
                <Route index element={<NotesPage />} />
                <Route path="devices" element={<DevicesPage />} />
              </Route>
            </Routes>
          </RequireLogin>
        </BrowserRouter>
      </QueryClientProvider>
    </SessionProvider>
  </StrictMode>,
);
