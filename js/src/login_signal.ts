/** What ends with a login: its requests and streams, and what was learnt about its tokens. */
export interface LoginSignal {
  /** How many refreshes in a row did not help, by the URL that refused the token. */
  refusals: Map<string, number>;
  /** Aborted when the login ends. */
  over: AbortSignal;
  /** Aborted when the login has ended and no write waits for its response, which says whether it was done. */
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
    refusals: new Map(),
    over: over.signal,
    settled: settled.signal,
    during(write) {
      writes++;
      return write().finally(() => {
        writes--;
        settle();
      });
    },
    end(reason) {
      over.abort(reason);
      settle();
    },
  };
}
