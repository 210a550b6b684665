/** Warns before the session ends, extends it, and logs out idle users (idle by input). */
import { type Core, listen, noteUser } from "./core.ts";
import { LoginRequired, RefreshUnavailable } from "./index.ts";
import { LONGEST_TIMER, WARN_BEFORE } from "./timing.ts";

export interface Ending {
  /** Tell the server that the user is active; return how many milliseconds the session lasts now. */
  extend(): Promise<number>;
}

/** How often to check, after the warning, whether the user is active again. */
const LOOK = 1000;

/** Milliseconds after its end at which a session has ended by every clock: the server is asked then, not before. */
const CERTAIN = 2000;

/** The events that show that the user is active. */
const INPUT = ["pointerdown", "pointermove", "keydown", "wheel", "touchstart", "scroll"];

const known = new WeakMap<Core, Ending>();

/** Watch for the end of this session, once, and perform the operations. */
export default async function ending(core: Core, what?: keyof Ending): Promise<number> {
  const found = known.get(core) ?? create(core);
  known.set(core, found);
  return what ? found[what]() : 0;
}

function create(core: Core): Ending {
  const input = watchInput(core, () => look());
  let longest = 0;
  let warned = false;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const ends = () => (core.grant && core.grant.ends) || Infinity;
  const sessionLeft = () => ends() - (core.token?.age() ?? 0);
  const left = () => Math.min(sessionLeft(), input.left());
  const look = () => {
    clearTimeout(timer);
    const { token } = core;
    if (core.closing.aborted || !token) return void (warned = false);
    longest = Math.max(longest, ends() < Infinity ? ends() : 0);
    if (input.left() <= 0) return void input.end();
    const session = sessionLeft();
    // the user is active and the server does not know it yet; or the session has ended and this page does not know
    const due = (token.active && session <= warning(longest)) || session <= -CERTAIN;
    if (due && core.paused() <= 0) {
      void core.session.refresh().catch(() => {}).then(look);
      return;
    }
    const now = left();
    const early = warning(Math.max(longest, input.span));
    if (now <= early && !warned) core.emit("ending", { left: Math.max(now, 0) });
    if (now > early && warned) core.emit("extended", { left: now });
    warned = now <= early;
    const wait = warned ? LOOK : now - early;
    if (wait < Infinity) timer = setTimeout(look, Math.min(wait, LONGEST_TIMER));
  };
  /** For a short session, warn halfway. */
  const warning = (span: number) => Math.min(core.warnBefore ?? WARN_BEFORE, span / 2);
  for (const name of ["loggedIn", "refreshed", "loggedOut"] as const) core.on(name, look);
  for (const type of ["visibilitychange", "pageshow"]) listen(core, type, look);
  core.closing.addEventListener("abort", look);
  look();
  return {
    async extend() {
      const { token } = core;
      input.note();
      await core.session.refresh();
      if (!core.token) throw new LoginRequired(`Login required: ${core.reason}`);
      if (core.token === token) throw new RefreshUnavailable("The session could not be extended");
      return left();
    },
  };
}

interface Input {
  /** Milliseconds without input after which the user is logged out. */
  span: number;
  left(): number;
  /** Note that the user is active. */
  note(): void;
  /** Log out. */
  end(): void;
}

/**
 * Watch for input, if the option says so. All tabs share the time of the last input in `localStorage`, which a suspended
 * tab can read when it wakes.
 */
function watchInput(core: Core, changed: () => void): Input {
  const { after = Infinity } = core.idle ?? {};
  const place = `${core.label} input`;
  let last = 0;
  const stored = (use: (storage: Storage) => string | null | void) => {
    try {
      return use(localStorage);
    } catch {
      return undefined; // each tab counts only its own
    }
  };
  const latest = () => Math.min(Math.max(last, +(stored((storage) => storage.getItem(place)) ?? 0)), Date.now());
  const left = () => after - (Date.now() - latest());
  const note = () => {
    last = Date.now();
    stored((storage) => storage.setItem(place, `${last}`));
    noteUser(core);
  };
  if (core.idle) {
    note(); // the page was opened by its user
    const noted = () => {
      if (Date.now() - last < LOOK) return;
      if (left() > 0) note();
      changed();
    };
    for (const type of INPUT) {
      globalThis.document?.addEventListener(type, noted, { capture: true, passive: true, signal: core.closing });
    }
    core.on("loggedIn", ({ shared }) => shared || note());
  }
  return {
    span: after < Infinity ? after : 0,
    left,
    note,
    end() {
      core.settle({ reason: "idle" });
      core.session.logout().catch(() => {}); // the stored note makes it be sent again
    },
  };
}
