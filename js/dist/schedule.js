// src/timing.ts
var LONGEST_TIMER = 2 ** 31 - 1;
var SHORTEST_TIMER = 500;
var ATTEMPTS = 3;

// src/core.ts
var listen = ({ closing }, type, listener) => globalThis.addEventListener?.(type, listener, { signal: closing });

// src/schedule.ts
async function schedule(core) {
  const signal = core.closing;
  let timer;
  const seen = () => globalThis.document?.visibilityState === "visible";
  const plan = () => {
    clearTimeout(timer);
    const { at, token, refreshing } = core;
    if (refreshing || signal.aborted || at && !token) return;
    const wait = Math.max(token?.due() ?? 0, core.paused(), SHORTEST_TIMER);
    timer = setTimeout(look, Math.min(wait, LONGEST_TIMER));
  };
  const look = () => {
    const { at, token } = core;
    if (token && token.due() > 0) plan();
    else if (token ? token.used || seen() : !at) void core.refresh();
  };
  const wake = ({ type, persisted }) => {
    if (!seen()) return;
    if (type === "online") core.pause(0);
    core.ask();
    if (persisted) void core.refresh();
    else look();
  };
  core.plan = plan;
  core.on("refreshFailed", ({ reason, code, message }) => {
    if (core.at || core.failures !== ATTEMPTS) return;
    console.warn(`daypass: ${core.url}/${reason}. ${code ? `${code}: ${message}` : "Is the option url right?"}`);
  });
  for (const type of ["visibilitychange", "pageshow", "online"]) listen(core, type, wake);
  plan();
  if (core.dpop) (await import("./dpop.js")).boundOf(core);
  if (core.idle) void (await import("./ending.js")).default(core);
}
export {
  schedule as default
};
//# sourceMappingURL=schedule.js.map
