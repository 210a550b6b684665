import { createSession, type User } from "daypass";
import { RequireLogin, SessionProvider, useSession, useUser } from "daypass/react";

const session = createSession();

function Page() {
  const { session, status, user } = useSession();
  status satisfies "unknown" | "in" | "out";
  useUser() satisfies User | null;
  // @ts-expect-error: nobody may be logged in
  user.username;
  return <button onClick={() => session.logout({ everywhere: true })}>{user?.username}</button>;
}

export const page = (
  <SessionProvider session={session} initialUser={undefined}>
    <RequireLogin login={<a href="/login">Log in</a>} pending="…">
      <Page />
    </RequireLogin>
  </SessionProvider>
);

// @ts-expect-error: without a session
export const without = <SessionProvider />;
// @ts-expect-error: without a login
export const open = <RequireLogin />;
