/** Who is logged in, for the page to show. */
import { LoginRequired } from "./errors.ts";
import type { Emit } from "./events.ts";
import { type LoginSignal, createLoginSignal } from "./login_signal.ts";
import type { User } from "./user.ts";

/** `unknown` until the server or another tab has answered for the first time. */
export type Status = "unknown" | "in" | "out";

/** What a page shows of the session. It is frozen, and the same object until something in it changes. */
export interface Snapshot {
  readonly status: Status;
  readonly user: User | null;
  /** Counts the changes. */
  readonly version: number;
}

export interface Shown {
  snapshot: Snapshot;
  /** Of this login; there is a new one when it ends or another user logs in. */
  login: LoginSignal;
  /** Show that somebody, or nobody, is logged in; `ended` says why the login before it is over, if it is. */
  show(status: Status, user: User | null, ended?: string): void;
}

export const UNKNOWN: Snapshot = Object.freeze({ status: "unknown", user: null, version: 0 });

export function createShown(emit: Emit): Shown {
  const shown: Shown = {
    snapshot: UNKNOWN,
    login: createLoginSignal(),
    show(status, user, ended) {
      const before = shown.snapshot;
      const same = JSON.stringify(user) === JSON.stringify(before.user);
      const changed = !same || status !== before.status;
      if (changed) {
        shown.snapshot = Object.freeze({ status, user: same ? before.user : user, version: before.version + 1 });
      }
      if (ended !== undefined) {
        const { login } = shown;
        shown.login = createLoginSignal();
        login.end(new LoginRequired(ended));
      }
      if (changed) emit("change", shown.snapshot);
    },
  };
  return shown;
}
