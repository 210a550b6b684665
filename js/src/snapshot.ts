/** Who is logged in, for the page to show. */
import type { Token } from "./token.ts";
import type { User } from "./user.ts";

/** `unknown` until the server or another tab has answered for the first time. */
export type Status = "unknown" | "in" | "out";

/** The state of the session for display. It is frozen, and the same object until something in it changes. */
export interface Snapshot {
  readonly status: Status;
  readonly user: User | null;
  /** Counts the changes. */
  readonly version: number;
}

export const UNKNOWN: Snapshot = Object.freeze({ status: "unknown", user: null, version: 0 });

/** Return the next snapshot: the same object, if nothing in it has changed. */
export function show(before: Snapshot, token: Token | undefined): Snapshot {
  const status = token ? "in" : "out";
  const user = token?.user ?? null;
  const same = JSON.stringify(user) === JSON.stringify(before.user);
  if (same && status === before.status) return before;
  return Object.freeze({ status, user: same ? before.user : user, version: before.version + 1 });
}
