"use client";
// A client component: it asks a route handler of this application.
import { useSession } from "daypass/react";
import { useState } from "react";

export function More() {
  const { session } = useSession();
  const [found, setFound] = useState("");

  async function ask() {
    const answer = await session.fetch("/api/whoami");
    setFound(answer.ok ? (await answer.json()).name : `HTTP ${answer.status}`);
  }

  return (
    <p>
      <button onClick={ask}>Who am I?</button> <span id="whoami">{found}</span>
    </p>
  );
}
