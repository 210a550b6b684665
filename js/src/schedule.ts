/** Refreshes ahead of expiry, and looks again whenever the page wakes. */
import type { Core } from "./core.ts";
import { refresh } from "./refresh.ts";
import { LONGEST_TIMER, SHORTEST_TIMER } from "./timing.ts";

/**
 * Keep the access token fresh, in the background, until the function returned is called.
 *
 * A token that nobody has used, in a tab that nobody sees, is left to run out: the next request, or the next look at
 * the tab, gets a new one. So a forgotten tab does not keep its session alive for ever.
 */
export function schedule(core: Core): () => void {
  const ending = new AbortController();
  const { signal } = ending;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const seen = () => globalThis.document?.visibilityState !== "hidden";
  const plan = () => {
    clearTimeout(timer);
    const { at, held, flight } = core;
    if (flight || signal.aborted || (at && !held)) return;
    const wait = Math.max(held?.young() ?? 0, core.resting(), SHORTEST_TIMER);
    if (wait < Infinity) timer = setTimeout(look, Math.min(wait, LONGEST_TIMER));
  };
  const look = () => {
    const { at, held } = core;
    if (held && held.young() > 0) plan();
    else if (held ? held.used || seen() : !at) void refresh(core);
  };
  const wake = ({ type }: Event) => {
    if (!seen()) return;
    if (type === "online") core.rest(0);
    core.ask(); // what was said while the page slept was not heard
    look();
  };
  core.changed.add(plan);
  for (const type of ["visibilitychange", "pageshow", "online"])
    globalThis.addEventListener?.(type, wake, { signal });
  return () => {
    ending.abort();
    plan();
  };
}
