/** Wait for a promise, but not after one of the signals is aborted: then reject with its reason. */
export function unlessAborted<T>(waiting: Promise<T>, ...signals: (AbortSignal | undefined)[]): Promise<T> {
  const done = new AbortController();
  return new Promise<T>((resolve, reject) => {
    for (const signal of signals) {
      const stop = () => reject(signal!.reason);
      if (signal?.aborted) stop();
      signal?.addEventListener("abort", stop, { signal: done.signal });
    }
    waiting.then(resolve, reject);
  }).finally(() => done.abort());
}
