import type { Core } from "./core.ts";
import { CredentialsRejected, DaypassError, RefreshUnavailable } from "./errors.ts";
import { exclusive } from "./lock.ts";
import { forgetLogout } from "./logout.ts";
import { DEADLINE, PATIENCE } from "./timing.ts";
import type { User } from "./user.ts";
import { ask, readGrant } from "./wire.ts";

/** What the login endpoint is sent: a name or an address, and a password; an application's own may want more. */
export interface Credentials {
  username?: string;
  email?: string;
  password?: string;
  deviceName?: string;
  [other: string]: unknown;
}

/**
 * Log in, in this tab and all others. No refresh runs meanwhile, in any tab: its answer would bring the old session's
 * cookie after the new one's.
 *
 * @throws CredentialsRejected where the name or the password is wrong.
 * @throws RefreshUnavailable where the server could not be asked.
 * @throws DaypassError where the server refused how it was asked; `code` is what it said.
 */
export async function login(core: Core, credentials: Credentials): Promise<User | null> {
  await core.flight; // where there are no locks
  return exclusive(core.label, PATIENCE, async () => {
    const { status, body, said } = await ask(core, "login", DEADLINE, credentials);
    const grant = readGrant(body);
    if (!grant) {
      if (status === 401) throw new CredentialsRejected();
      if (status > 399 && status < 429) throw new DaypassError(said, undefined, body?.error as string);
      throw new RefreshUnavailable(said);
    }
    forgetLogout(core);
    core.rest(0);
    core.settle({ at: core.tick(), grant });
    return core.held!.user;
  });
}
