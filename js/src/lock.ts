/**
 * Run `work` while no other tab runs under this name, waiting at most `patience` milliseconds: then it runs
 * anyway, because a tab may hang. Without Web Locks it runs at once. Both are safe: within the server's grace period,
 * two refreshes at once get the same successor.
 *
 * @param work gets whether it had to wait for another tab.
 */
export async function exclusive<T>(name: string, patience: number, work: (waited: boolean) => Promise<T>): Promise<T> {
  const { locks } = navigator;
  let begun: Promise<T> | undefined;
  const begin = (waited: boolean) => (begun ??= work(waited));
  try {
    await locks?.request(name, { ifAvailable: true }, (lock) => lock && begin(false));
    if (locks && !begun) await locks.request(name, { signal: AbortSignal.timeout(patience) }, () => begin(true));
  } catch {
    // the lock was not released in time, or this page may not use locks; errors of `work` itself are thrown below
  }
  return begin(!!locks);
}
