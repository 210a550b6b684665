/**
 * How things stand, for this tab and, by the same rule, for all of them.
 *
 * Each change bears the moment at which it *set out*: a refresh when it was sent, a login or a logout when it took
 * effect. The later one wins, in whatever order they arrive. So a refresh that set out before a logout cannot undo it,
 * wherever it lands; one that was rejected cannot undo a login that came after; and all tabs come to the same end.
 */
import type { Events } from "./events.ts";
import { type Held, hold } from "./held.ts";
import type { Grant } from "./wire.ts";

export interface Change {
  /** When it set out, by `State.tick`. */
  at: number;
  /** What was granted; missing where the session is over. */
  grant?: Grant | false | undefined;
  /** The grant's age in milliseconds, where it comes from another tab. */
  age?: number | undefined;
  /** Why the session is over. */
  reason?: string;
}

export interface State {
  /** When the last change set out; 0 before the first. */
  at: number;
  held: Held | undefined;
  /** Why there is no session. */
  reason: string;
  /** Return a moment later than every change known so far, in every tab. */
  tick(): number;
  /** Take a change in, unless a later one is known, and tell the other tabs unless one of them has `shared` it. */
  settle(change: Change, shared?: boolean): void;
}

export function createState(ahead: number, { emit }: Events, changed: (change: Change | false) => void): State {
  let latest = 0;
  const state: State = {
    at: 0,
    held: undefined,
    reason: "",
    // the fraction keeps two tabs apart that act in the same millisecond
    tick: () => (latest = Math.max(Date.now(), latest + 1) + Math.random()),
    settle(change, shared = false) {
      const { at, grant, age = 0, reason = "" } = change;
      latest = Math.max(latest, at);
      if (at <= state.at) return;
      const before = state.held;
      const held = grant ? hold(grant, age, ahead) : undefined;
      Object.assign(state, { at, held, reason });
      if (held) {
        const { user, lifetime } = held;
        const same = before && before.user?.subject === user?.subject;
        emit(same ? "refreshed" : "loggedIn", { user, lifetime, shared });
      } else if (before) emit("loggedOut", { reason, shared });
      changed(!shared && change);
    },
  };
  return state;
}
