import type { Core } from "./core.ts";
import { ask } from "./endpoints.ts";
import { RefreshUnavailable } from "./errors.ts";
import { exclusive } from "./lock.ts";
import { refuseUnknown } from "./options.ts";
import { DEADLINE } from "./timing.ts";

export interface LogoutOptions {
  /** End every session of this user, on all devices; default false. */
  everywhere?: boolean;
}

/**
 * Log out, in this tab and all others, at once, even without a network; then let the server end the session.
 *
 * If the server cannot be reached, the session and the cookie are still there: a note in `localStorage`, which holds no
 * secret, makes this page finish the logout before it restores a session.
 *
 * @throws RefreshUnavailable if the server could not be reached; the user is logged out here anyway.
 */
export async function logout(core: Core, { everywhere = false, ...unknown }: LogoutOptions = {}): Promise<void> {
  refuseUnknown(unknown);
  const note = JSON.stringify({ everywhere });
  core.settle({ reason: "logout" });
  stored((storage) => storage.setItem(core.label, note));
  const said = await endSession(core, note);
  if (said) throw new RefreshUnavailable(said);
}

/** Send a logout that has not reached the server yet; return the error, if any. */
export async function finishLogout(core: Core): Promise<string | null | undefined> {
  const note = stored((storage) => storage.getItem(core.label));
  return note && endSession(core, note);
}

export const forgetLogout = (core: Core): void => stored((storage) => storage.removeItem(core.label));

/** Return the error, if any. */
async function endSession(core: Core, note: string): Promise<string | undefined> {
  // Sent at once, because the page may be closing; the lock only keeps a login from overtaking it.
  const sent = ask(core, "logout", DEADLINE, note);
  const { status, said } = await exclusive(core.label, 0, () => sent);
  return (status && status < 300) || status === 401 ? (forgetLogout(core) as undefined) : said;
}

function stored<T>(use: (storage: Storage) => T): T | undefined {
  try {
    return use(localStorage);
  } catch {
    return undefined; // a page without storage forgets
  }
}
