"use client";
// The session in the browser: it renews the access token there, and tells all tabs of a logout.
import { createSession, type User } from "daypass";
import { SessionProvider, useSession } from "daypass/react";
import { useRouter } from "next/navigation";
import { type FormEvent, type ReactNode, useState } from "react";

const session = createSession();

export function Session({ user, children }: { user: User | null; children: ReactNode }) {
  return (
    <SessionProvider session={session} initialUser={user}>
      <header>
        <Account />
      </header>
      <main>{children}</main>
    </SessionProvider>
  );
}

function Account() {
  const { user, session } = useSession();
  const router = useRouter();
  const [problem, setProblem] = useState("");

  async function login(event: FormEvent<HTMLFormElement>) {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    try {
      await session.login({ username: String(form.get("username")), password: String(form.get("password")) });
      router.refresh(); // the server renders the page again, for this user
    } catch (error) {
      setProblem((error as Error).message);
    }
  }

  async function logout() {
    await session.logout();
    router.refresh();
  }

  if (user) {
    return (
      <p>
        Logged in as <b id="user">{user.username}</b> <button onClick={logout}>Log out</button>
      </p>
    );
  }
  return (
    <form onSubmit={login}>
      <input name="username" aria-label="User name" defaultValue="ann" />
      <input name="password" aria-label="Password" type="password" defaultValue="correct horse battery" />
      <button>Log in</button>
      <p role="alert">{problem}</p>
    </form>
  );
}
