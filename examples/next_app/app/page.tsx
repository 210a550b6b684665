// Server components: each asks the API for itself, all with the token of this request.
import { ask, currentSession } from "../daypass";
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
  const { notes } = await ask<{ notes: string[] }>("/api/notes");
  return (
    <ul>
      {notes.map((note) => (
        <li key={note}>{note}</li>
      ))}
    </ul>
  );
}

async function Profile() {
  const { email } = await ask<{ email: string }>("/api/profile");
  return <p id="email">{email}</p>;
}
