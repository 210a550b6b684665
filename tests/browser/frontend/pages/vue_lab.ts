// Many components at once, and what they show of the user.
import { createSession } from "daypass";
import { createDaypass, useSession } from "daypass/vue";
import { createApp, defineComponent, h, ref } from "vue";
import NotesPage from "../src/NotesPage.vue";
import { expose } from "./_world";

const session = createSession();
const many = ref(0);

const Lab = defineComponent(() => {
  const { status, user } = useSession();
  return () => [
    h("b", { id: "name" }, `${status.value} ${user.value?.username ?? "nobody"}`),
    ...Array.from({ length: many.value }, (_, index) => h(NotesPage, { key: index, class: "result" })),
  ];
});

const app = createApp(Lab).use(createDaypass(session));
app.mount("#app");
expose(session, { app, show: (count: number) => void (many.value = count) });
