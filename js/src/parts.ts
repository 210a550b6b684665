/**
 * Parts that most pages do not need at first, each in a file that is loaded when it is first used. The build makes
 * `dist/NAME.js` and `/auth/daypass-NAME.js` of each. If one cannot be loaded, such as in a service worker, the call
 * throws `RefreshUnavailable`.
 */
import type { Core } from "./core.ts";
import { RefreshUnavailable } from "./errors.ts";
import type { StepUp } from "./step_up.ts";

type Work<A extends unknown[], T> = (core: Core, ...rest: A) => Promise<T>;

const lazy =
  <A extends unknown[], T>(load: () => Promise<{ default: Work<A, T> }>): Work<A, T> =>
  async (...all) => {
    const part = await load().catch(({ message }) => {
      throw new RefreshUnavailable(message);
    });
    return part.default(...all);
  };

export const login = lazy(() => import("./login.ts"));

/** Refresh before expiry and when the page wakes, from now on. */
export const schedule = lazy(() => import("./schedule.ts"));

/** Apply the response to the application's own login or logout. */
export const observe = lazy(() => import("./own_requests.ts"));

export const openSocket = lazy(() => import("./socket.ts"));

export const openEvents = lazy(() => import("./eventsource.ts"));

/** Watch for the end of the session, from now on; and extend it. */
export const ending = lazy(() => import("./ending.ts"));

/** Send a request with a proof of the session's key, if it needs one. */
export const prove = lazy(() => import("./dpop.ts"));

/** Watch for confirmations of who the user is, from now on; and wait for one, or confirm. */
export const stepUp = lazy(() => import("./step_up.ts")) as StepUp;
