import { type Core } from "./core.ts";
import type { Credentials } from "./credentials.ts";
import { type Grant, ask, judge, readGrant } from "./endpoints.ts";
import { CookieRejected, CredentialsRejected, LoginRefused, RefreshUnavailable } from "./index.ts";
import { exclusive } from "./lock.ts";
import { forgetLogout } from "./logout.ts";
import { DEADLINE, PATIENCE } from "./timing.ts";
import type { User } from "./user.ts";

/**
 * Log in, in this tab and all others. No refresh runs meanwhile, in any tab: its response would set the old session's
 * cookie after the new one's.
 *
 * @throws CredentialsRejected if the name or the password is wrong.
 * @throws RefreshUnavailable if the server could not be reached.
 * @throws LoginRefused if the server refused the request; `reason` is its code.
 * @throws CookieRejected if the browser did not keep the cookie; nobody is logged in here.
 */
export default async function login(core: Core, credentials: Credentials): Promise<User | null> {
  await core.refreshing; // if there are no locks
  return exclusive(core.label, PATIENCE, async () => {
    const { status, body, said } = await ask(core, "login", DEADLINE, JSON.stringify(credentials));
    const grant = readGrant(body);
    if (!grant) {
      if (status === 401) throw new CredentialsRejected("Wrong credentials");
      if (status > 399 && status < 429) throw new LoginRefused(`${said} ${body?.message ?? ""}`, { reason: body?.error });
      throw new RefreshUnavailable(said);
    }
    forgetLogout(core);
    core.pause(0);
    core.settle({ grant: await withCookie(core, grant) });
    return core.snapshot.user;
  });
}

/** Return the grant to use, after a refresh if it is not certain that the browser keeps the cookie. */
async function withCookie(core: Core, granted: Grant): Promise<Grant> {
  const page = globalThis.location;
  const { origin, protocol, hostname } = new URL(core.url);
  if (protocol === page.protocol && hostname === page.hostname && cookiesAreKept()) return granted;
  const { grant = granted, reason } = judge(await ask(core, "refresh", DEADLINE));
  if (!reason) return grant;
  throw new CookieRejected(
    `The browser keeps no cookie of ${origin} for a page of ${page.origin}: allow cookies, use one host name for both`,
  );
}

/** Try it: `navigator.cookieEnabled` is true in Chromium and WebKit even if all cookies are blocked. */
function cookiesAreKept(): boolean {
  const check = "daypass-ok=";
  try {
    document.cookie = check;
    const kept = document.cookie.includes(check);
    document.cookie = `${check};max-age=0`;
    return kept;
  } catch {
    return false; // a worker or a sandboxed frame
  }
}
