/**
 * Start measuring: the function returned gives the milliseconds since, plus `already`.
 *
 * Two clocks, because each lies in its own way: `performance.now()` stands still while some machines sleep, and the
 * wall clock is set back and forth. The larger span is the truth or errs on the safe side: a token thought too old is
 * refreshed once too often, one thought too young would be sent dead.
 */
export function stopwatch(already: number): () => number {
  const steady = performance.now();
  const wall = Date.now();
  return () => already + Math.max(performance.now() - steady, Date.now() - wall);
}

export const sleep = (milliseconds: number): Promise<void> => new Promise((go) => setTimeout(go, milliseconds));
