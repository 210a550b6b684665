import type { Core } from "./core.ts";
import { RefreshUnavailable } from "./errors.ts";
import { exclusive } from "./lock.ts";
import { DEADLINE } from "./timing.ts";
import { ask } from "./wire.ts";

/**
 * Log out, in this tab and all others, at once, whatever the network says; then have the server end the session.
 *
 * A server that could not be told has not forgotten the session, and the cookie is still there: a note in
 * `localStorage`, which holds no secret, makes this page finish the logout before it would restore anything.
 *
 * @throws RefreshUnavailable where the server could not be told; nobody is logged in here all the same.
 */
export async function logout(core: Core): Promise<void> {
  core.settle({ at: core.tick(), reason: "logout" });
  stored((storage) => storage.setItem(core.label, "logout"));
  const said = await endSession(core);
  if (said) throw new RefreshUnavailable(said);
}

/** Tell the server, where a logout has not reached it yet; returns whether it could not be told. */
export async function finishLogout(core: Core): Promise<boolean> {
  return !!stored((storage) => storage.getItem(core.label)) && !!(await endSession(core));
}

export const forgetLogout = (core: Core): void => stored((storage) => storage.removeItem(core.label));

/** Return what went wrong, if anything. */
async function endSession(core: Core): Promise<string | undefined> {
  // Sent at once, for the page may be about to go; the lock is only to keep a login from overtaking it.
  const sent = ask(core, "logout", DEADLINE);
  const { ok, said } = await exclusive(core.label, 0, () => sent);
  return ok ? (forgetLogout(core) as undefined) : said;
}

function stored<T>(use: (storage: Storage) => T): T | undefined {
  try {
    return use(localStorage);
  } catch {
    return undefined; // a page without storage forgets
  }
}
