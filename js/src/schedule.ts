/** Background work of a session, from a moment after its start: it refreshes before expiry, and when the page wakes. */
import { type Core, listen } from "./core.ts";
import { ATTEMPTS, LONGEST_TIMER, SHORTEST_TIMER } from "./timing.ts";

/**
 * Keep the access token fresh, in the background, until the session is closed.
 *
 * A token that was not used, in a hidden tab, may expire: the next request, or showing the tab, gets a new one. So a
 * forgotten tab does not keep its session alive.
 */
export default async function schedule(core: Core): Promise<void> {
  const signal = core.closing;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const seen = () => globalThis.document?.visibilityState === "visible"; // never in a worker
  const plan = () => {
    clearTimeout(timer);
    const { at, token, refreshing } = core;
    if (refreshing || signal.aborted || (at && !token)) return;
    const wait = Math.max(token?.due() ?? 0, core.paused(), SHORTEST_TIMER);
    timer = setTimeout(look, Math.min(wait, LONGEST_TIMER));
  };
  const look = () => {
    const { at, token } = core;
    if (token && token.due() > 0) plan();
    else if (token ? token.used || seen() : !at) void core.refresh();
  };
  const wake = ({ type, persisted }: Event & { persisted?: boolean }) => {
    if (!seen()) return;
    if (type === "online") core.pause(0);
    core.ask(); // what was posted while the page slept was not received
    if (persisted) void core.refresh(); // the Back button: a form may have logged out meanwhile
    else look();
  };
  core.plan = plan;
  core.on("refreshFailed", ({ reason, code, message }) => {
    if (core.at || core.failures !== ATTEMPTS) return;
    console.warn(`daypass: ${core.url}/${reason}. ${code ? `${code}: ${message}` : "Is the option url right?"}`);
  });
  for (const type of ["visibilitychange", "pageshow", "online"]) listen(core, type, wake);
  plan();
  if (core.dpop) (await import("./dpop.ts")).boundOf(core);
  if (core.idle) void (await import("./ending.ts")).default(core);
}
