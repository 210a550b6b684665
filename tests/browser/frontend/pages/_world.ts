// What a page shows to the tests: its session, and everything that went wrong unseen.
import type { Session } from "daypass";

export const seen = { errors: [] as string[], renders: {} as Record<string, number> };

addEventListener("unhandledrejection", ({ reason }) => seen.errors.push(`unhandled: ${reason}`));
addEventListener("error", ({ message }) => seen.errors.push(message));
const warn = console.error;
console.error = (...said: unknown[]) => {
  seen.errors.push(said.map(String).join(" "));
  warn(...said);
};

export function expose(session: Session, more: object = {}): void {
  Object.assign(window, { session, seen, ...more, ready: true });
}
