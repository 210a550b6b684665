/**
 * What most pages do without at first, each in a file of its own that is loaded when it is asked for. The build makes
 * `dist/NAME.js` and `/auth/daypass-NAME.js` of each.
 */
import type { Core } from "./core.ts";
import type { StepUp } from "./step_up.ts";

type Work<A extends unknown[], T> = (core: Core, ...rest: A) => Promise<T>;

const part =
  <A extends unknown[], T>(load: () => Promise<{ default: Work<A, T> }>): Work<A, T> =>
  async (...all) =>
    (await load()).default(...all);

export const login = part(() => import("./login.ts"));

/** Send the application's own login or logout. */
export const sendOwn = part(() => import("./own_requests.ts"));

/** Watch for the end of the session, from now on; and extend it. */
export const ending = part(() => import("./ending.ts"));

/** Watch for confirmations of who the user is, from now on; and wait for one, or confirm. */
export const stepUp = part(() => import("./step_up.ts")) as StepUp;
