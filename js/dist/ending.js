// src/timing.ts
var WARN_BEFORE = 12e4;
var LONGEST_TIMER = 2 ** 31 - 1;

// src/core.ts
var listen = ({ closing }, type, listener) => globalThis.addEventListener?.(type, listener, { signal: closing });
function noteUser({ token, post }) {
  if (!token || token.active) return;
  token.active = true;
  post({ active: true });
}

// src/ending.ts
import { LoginRequired, RefreshUnavailable } from "./index.js";
var LOOK = 1e3;
var CERTAIN = 2e3;
var INPUT = ["pointerdown", "pointermove", "keydown", "wheel", "touchstart", "scroll"];
var known = /* @__PURE__ */ new WeakMap();
async function ending(core, what) {
  const found = known.get(core) ?? create(core);
  known.set(core, found);
  return what ? found[what]() : 0;
}
function create(core) {
  const input = watchInput(core, () => look());
  let longest = 0;
  let warned = false;
  let timer;
  const ends = () => core.grant && core.grant.ends || Infinity;
  const sessionLeft = () => ends() - (core.token?.age() ?? 0);
  const left = () => Math.min(sessionLeft(), input.left());
  const look = () => {
    clearTimeout(timer);
    const { token } = core;
    if (core.closing.aborted || !token) return void (warned = false);
    longest = Math.max(longest, ends() < Infinity ? ends() : 0);
    if (input.left() <= 0) return void input.end();
    const session = sessionLeft();
    const due = token.active && session <= warning(longest) || session <= -CERTAIN;
    if (due && core.paused() <= 0) {
      void core.session.refresh().catch(() => {
      }).then(look);
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
  const warning = (span) => Math.min(core.warnBefore ?? WARN_BEFORE, span / 2);
  for (const name of ["loggedIn", "refreshed", "loggedOut"]) core.on(name, look);
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
    }
  };
}
function watchInput(core, changed) {
  const { after = Infinity } = core.idle ?? {};
  const place = `${core.label} input`;
  let last = 0;
  const stored = (use) => {
    try {
      return use(localStorage);
    } catch {
      return void 0;
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
    note();
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
      core.session.logout().catch(() => {
      });
    }
  };
}
export {
  ending as default
};
//# sourceMappingURL=ending.js.map
