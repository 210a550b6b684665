// Components that do what is hard: they are mounted twice, unmounted early, suspended, and many.
import { createSession } from "daypass";
import { RequireLogin, SessionProvider, useSession, useUser } from "daypass/react";
import { StrictMode, Suspense, startTransition, use, useEffect, useState } from "react";
import { createRoot } from "react-dom/client";
import { expose, seen } from "./_world";

const session = createSession();
const results: string[] = [];

function Asks({ path = "/api/items" }: { path?: string }) {
  const { session } = useSession();
  const [result, setResult] = useState("waiting");
  useEffect(() => {
    const leaving = new AbortController();
    session
      .fetch(path, { signal: leaving.signal })
      .then((response) => String(response.status), (error: Error) => error.name)
      .then((outcome) => {
        results.push(outcome);
        if (!leaving.signal.aborted) setResult(outcome);
      });
    return () => leaving.abort();
  }, [session, path]);
  return <span className="result">{result}</span>;
}

function Name() {
  seen.renders.Name = (seen.renders.Name ?? 0) + 1;
  return <b id="name">{useUser()?.username ?? "nobody"}</b>;
}

function Counter() {
  const [count, setCount] = useState(0);
  return <button id="count" onClick={() => setCount(count + 1)}>{count}</button>;
}

/** A component that makes its session itself, and closes it. */
function Own() {
  const [status, setStatus] = useState("");
  useEffect(() => {
    const own = createSession();
    own.fetch("/api/public").then(({ status }) => setStatus(String(status)), () => {});
    return () => own.close();
  }, []);
  return <i id="own">{status}</i>;
}

function First() {
  return <u id="first">{use(session.ready)?.username ?? "nobody"}</u>;
}

function Slow({ index }: { index: number }) {
  const end = performance.now() + 4;
  while (performance.now() < end);
  const user = useUser()?.username ?? "nobody";
  seen.renders[index] = (seen.renders[index] ?? 0) + 1;
  return <span className="slow">{user}</span>;
}

let show = (_: string) => {};
function Lab() {
  const [shown, setShown] = useState(new URLSearchParams(location.search).get("show") ?? "");
  show = setShown;
  return (
    <>
      <Name />
      {shown === "one" && <Asks />}
      {shown === "many" && Array.from({ length: 100 }, (_, index) => <Asks key={index} path={`/api/items?${index}`} />)}
      {shown === "own" && <Own />}
      {shown === "slow" && Array.from({ length: 60 }, (_, index) => <Slow key={index} index={index} />)}
      {shown === "first" && <Suspense fallback={<u id="first">suspended</u>}><First /></Suspense>}
      {shown === "guarded" && (
        <RequireLogin login={<i id="login">log in</i>} pending={<i id="pending">one moment</i>}>
          <Counter />
        </RequireLogin>
      )}
    </>
  );
}

createRoot(document.getElementById("root")!).render(
  <StrictMode>
    <SessionProvider session={session}>
      <Lab />
    </SessionProvider>
  </StrictMode>,
);

expose(session, { results, show: (what: string) => show(what), showLater: (what: string) => startTransition(() => show(what)) });
