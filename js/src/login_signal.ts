/** What ends when a login ends: requests and streams that were begun for it. */
export interface LoginSignal {
  /** Aborted when the login ends. */
  over: AbortSignal;
  /** Aborted when the login has ended and no write waits for its answer: the answer says whether it was done. */
  settled: AbortSignal;
  /** Send a write. */
  during<T>(write: () => Promise<T>): Promise<T>;
  end(reason: Error): void;
}

export function createLoginSignal(): LoginSignal {
  const over = new AbortController();
  const settled = new AbortController();
  let writes = 0;
  const settle = () => over.signal.aborted && !writes && settled.abort(over.signal.reason);
  return {
    over: over.signal,
    settled: settled.signal,
    async during(write) {
      writes++;
      try {
        return await write();
      } finally {
        writes--;
        settle();
      }
    },
    end(reason) {
      over.abort(reason);
      settle();
    },
  };
}
