// What a page is asked to do: a button whose handler does it, and an output that shows what came of it.
import type { Session } from "daypass";

export type Work = (session: Session) => Promise<unknown>;

export interface Task {
  id: number;
  work: Work;
  /** Called with what the page shows. */
  done: (shown: string) => void;
}

export interface Client {
  /** Have a component's handler do something with its session; return what the component then shows. */
  perform: (work: Work) => Promise<unknown>;
  unmount: () => void;
}

/** Return how a task ended, as text: an error is its name and more. */
export async function outcome(task: Task, session: Session): Promise<string> {
  try {
    return JSON.stringify((await task.work(session)) ?? null);
  } catch (thrown) {
    const { name, message, code, reason } = thrown as Error & { code?: string; reason?: string };
    return JSON.stringify({ error: name, message, code, reason });
  }
}

/** Make a client of what shows tasks: each is shown, pressed, and removed once it is done. */
export function clientOf(show: (tasks: Task[]) => unknown, unmount: () => void): Client {
  let tasks: Task[] = [];
  let last = 0;
  return {
    perform: async (work) => {
      const id = ++last;
      let done = (_: string) => {};
      const shown = new Promise<string>((go) => (done = go));
      await show((tasks = [...tasks, { id, work, done }]));
      document.getElementById(`task-${id}`)!.click();
      const text = await shown;
      void show((tasks = tasks.filter((each) => each.id !== id)));
      return JSON.parse(text);
    },
    unmount,
  };
}
