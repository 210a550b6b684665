// Server components: each asks the API for itself, all with the token of this request.
import { currentSession } from "../daypass";
import { More } from "./more";

export default async function Home() {
  const session = await currentSession();
  if (!session.user) return <p id="stranger">Hello, stranger.</p>;
  return (
    <>
      <h1>Hello, {session.user.username}</h1>
      <Notes />
      <Profile />
      <More />
    </>
  );
}

async function Notes() {
  const session = await currentSession();
  const answer = await session.fetch("/api/notes", { cache: "no-store" });
  const { notes } = (await answer.json()) as { notes: string[] };
  return (
    <ul>
      {notes.map((note) => (
        <li key={note}>{note}</li>
      ))}
    </ul>
  );
}

async function Profile() {
  const session = await currentSession();
  const answer = await session.fetch("/api/profile", { cache: "no-store" });
  const { email } = (await answer.json()) as { email: string };
  return <p id="email">{email}</p>;
}
