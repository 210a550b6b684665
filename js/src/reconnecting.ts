/** When to connect again: after growing pauses, and at once when the network or the page comes back. */
const FIRST = 500;
const LONGEST = 30_000;

/** Return milliseconds, drawn from the longer half of a span that doubles with each failure in a row. */
export const pauseAfter = (failures: number): number => (Math.min(FIRST * 2 ** failures, LONGEST) * (1 + Math.random())) / 2;

/** Call `woken` when the network comes back or the page is shown again, until the signal is aborted. */
export function onWake(woken: () => void, signal: AbortSignal): void {
  const look = () => globalThis.document?.visibilityState !== "hidden" && woken();
  for (const type of ["online", "pageshow", "visibilitychange"]) globalThis.addEventListener?.(type, look, { signal });
}

/** Wait, at most until the page wakes or the signal is aborted; while the browser is offline, for half a minute. */
export function rest(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((go) => {
    if (signal.aborted) return go();
    const done = new AbortController();
    const end = () => {
      clearTimeout(timer);
      done.abort();
      go();
    };
    const timer = setTimeout(end, globalThis.navigator?.onLine === false ? LONGEST : milliseconds);
    if (milliseconds) onWake(end, done.signal);
    signal.addEventListener("abort", end, { signal: done.signal });
  });
}
