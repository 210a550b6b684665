import { type Core, currentUser } from "./core.ts";
import type { Credentials } from "./credentials.ts";
import { ask, readGrant } from "./endpoints.ts";
import { CredentialsRejected, LoginRefused, RefreshUnavailable } from "./errors.ts";
import { exclusive } from "./lock.ts";
import { forgetLogout } from "./logout.ts";
import { DEADLINE, PATIENCE } from "./timing.ts";
import type { User } from "./user.ts";

/**
 * Log in, in this tab and all others. No refresh runs meanwhile, in any tab: its answer would bring the old session's
 * cookie after the new one's.
 *
 * @throws CredentialsRejected if the name or the password is wrong.
 * @throws RefreshUnavailable if the server could not be asked.
 * @throws LoginRefused if the server refused the request; `reason` is what it said.
 */
export async function login(core: Core, credentials: Credentials): Promise<User | null> {
  await core.refreshing; // where there are no locks
  return exclusive(core.label, PATIENCE, async () => {
    const { status, body, said } = await ask(core, "login", DEADLINE, credentials);
    const grant = readGrant(body);
    if (!grant) {
      if (status === 401) throw new CredentialsRejected();
      if (status > 399 && status < 429) throw new LoginRefused(said, body?.error as string);
      throw new RefreshUnavailable(said);
    }
    forgetLogout(core);
    core.pause(0);
    core.settle({ at: core.tick(), grant });
    return currentUser(core);
  });
}
