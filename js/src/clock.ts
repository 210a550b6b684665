/**
 * Start measuring: the function returned gives the milliseconds since, plus `already`.
 *
 * Two clocks, because each can be wrong: `performance.now()` stops while some machines sleep, and the wall clock can be
 * set. The larger span is right or on the safe side: a token that looks too old is refreshed once too often; one that
 * looks too young would be sent after its expiry.
 */
export function stopwatch(already: number): () => number {
  const steady = performance.now();
  const wall = Date.now();
  return () => already + Math.max(performance.now() - steady, Date.now() - wall);
}

export const sleep = (milliseconds: number): Promise<void> => new Promise((go) => setTimeout(go, milliseconds));
