// A server component: it asks the API twice at once, with the token of this request.
import { ask, currentSession } from "../daypass";
import { More } from "./more";

export default async function Home() {
  const { user } = await currentSession();
  const [list, profile] = user ? await Promise.all([ask<{ notes: string[] }>("/api/notes"), ask<{ email: string }>("/api/profile")]) : [];
  if (!user || !list || !profile) return <p id="stranger">Hello, stranger.</p>;
  return (
    <>
      <h1>Hello, {user.username}</h1>
      <ul>
        {list.notes.map((note) => (
          <li key={note}>{note}</li>
        ))}
      </ul>
      <p id="email">{profile.email}</p>
      <More />
    </>
  );
}
