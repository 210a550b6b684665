import type { Session } from "daypass";
import { createDaypass, useEnding, useSession, useStepUp } from "daypass/vue";
import { createApp, defineComponent, h, nextTick, ref, shallowRef } from "vue";
import { type Client, type Task, clientOf, outcome } from "./task";

const Doing = defineComponent(
  ({ task }: { task: Task }) => {
    const { session } = useSession();
    const shown = ref("");
    const output = ref<HTMLOutputElement>();
    const press = async () => {
      shown.value = await outcome(task, session);
      await nextTick();
      task.done(output.value!.textContent!);
    };
    return () => h("p", [h("button", { id: `task-${task.id}`, onClick: press }), h("output", { ref: output }, shown.value)]);
  },
  { props: ["task"] },
);

/** What the user is asked; only pages with `&asking` listen. */
const Asking = defineComponent(() => {
  const [ending, stepUp] = [useEnding(), useStepUp()];
  return () => h("i", { id: "asking" }, stepUp.value ? `confirm ${stepUp.value.maxAge}` : ending.value ? "ending" : "nothing");
});

export function mount(session: Session, element: HTMLElement): Client {
  const tasks = shallowRef<Task[]>([]);
  const Page = defineComponent(() => {
    const { status, user } = useSession();
    return () => [
      h("b", { id: "shown" }, `${status.value} ${user.value?.username ?? "nobody"}`),
      location.search.includes("asking") && h(Asking),
      ...tasks.value.map((task) => h(Doing, { key: task.id, task })),
    ];
  });
  const app = createApp(Page).use(createDaypass(session));
  app.mount(element);
  return clientOf(
    (wanted) => ((tasks.value = wanted), nextTick()),
    () => app.unmount(),
  );
}
