import type { Session } from "daypass";
import { SessionProvider, useEnding, useSession, useStepUp } from "daypass/react";
import { StrictMode, memo, useEffect, useRef, useState } from "react";
import { flushSync } from "react-dom";
import { createRoot } from "react-dom/client";
import { type Client, type Task, clientOf, outcome } from "./task";

const Doing = memo(function Doing({ task }: { task: Task }) {
  const { session } = useSession();
  const [shown, setShown] = useState("");
  const output = useRef<HTMLOutputElement>(null);
  useEffect(() => {
    if (shown) task.done(output.current!.textContent!);
  }, [shown, task]);
  return (
    <p>
      <button id={`task-${task.id}`} onClick={async () => setShown(await outcome(task, session))} />
      <output ref={output}>{shown}</output>
    </p>
  );
});

function Shown() {
  const { status, user } = useSession();
  return <b id="shown">{`${status} ${user?.username ?? "nobody"}`}</b>;
}

/** What the user is asked; only pages with `&asking` listen. */
function Asking() {
  const [ending, stepUp] = [useEnding(), useStepUp()];
  return <i id="asking">{stepUp ? `confirm ${stepUp.maxAge}` : ending ? "ending" : "nothing"}</i>;
}

export function mount(session: Session, element: HTMLElement): Client {
  let show = (_: Task[]) => {};
  function Page() {
    const [tasks, setTasks] = useState<Task[]>([]);
    show = setTasks;
    return (
      <>
        <Shown />
        {location.search.includes("asking") && <Asking />}
        {tasks.map((task) => (
          <Doing key={task.id} task={task} />
        ))}
      </>
    );
  }
  const root = createRoot(element);
  flushSync(() =>
    root.render(
      <StrictMode>
        <SessionProvider session={session}>
          <Page />
        </SessionProvider>
      </StrictMode>,
    ),
  );
  return clientOf(
    (tasks) => flushSync(() => show(tasks)),
    () => root.unmount(),
  );
}
