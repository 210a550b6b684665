/** The one refresh that all requests of all tabs wait for. */
import { sleep } from "./clock.ts";
import { type Core, PASSIVE } from "./core.ts";
import { type Outcome, ask, judge } from "./endpoints.ts";
import { exclusive } from "./lock.ts";
import { finishLogout } from "./logout.ts";
import { AFTER_A_WAIT, AT_THE_START, ATTEMPTS, PATIENCE, backoff, nextAttempt } from "./timing.ts";

/**
 * Refresh, or wait for the refresh under way. No caller can cancel it, and its token is stored before any caller
 * continues. After a failure there is no request until the pause has ended.
 *
 * @returns its outcome, `undefined` if another tab was first. It never fails, and it has a deadline.
 */
export function refresh(core: Core): Promise<Outcome | undefined> {
  return (core.refreshing ??= start(core).finally(() => {
    core.refreshing = undefined;
    core.plan();
  }));
}

async function start(core: Core): Promise<Outcome | undefined> {
  const { at } = core;
  if (!at && (await finishLogout(core))) {
    core.settle({ reason: "logout" });
    return undefined;
  }
  return exclusive(core.label, PATIENCE, async (waited) => {
    if (waited || !at) await core.news(waited ? AFTER_A_WAIT : AT_THE_START);
    let retryAfter = core.paused();
    if (retryAfter > 0) return { retryAfter };
    const end = performance.now() + 3 * core.attempt;
    const left = () => end - performance.now();
    while (core.at === at) {
      const outcome = await present(core, Math.min(core.attempt, left()));
      if (!outcome.unavailable) return outcome;
      retryAfter = backoff(++core.failures, outcome);
      core.pause(retryAfter);
      if (core.failures >= ATTEMPTS || retryAfter >= left()) return fail(core, outcome, retryAfter);
      await sleep(retryAfter);
    }
    return undefined;
  });
}

/** Send one refresh; its change is applied and posted before this returns. */
async function present(core: Core, limit: number): Promise<Outcome> {
  const at = core.tick();
  const began = performance.now();
  // only an issuer that says when the session ends supports passive refreshes
  const passive = !!core.grant && !!core.grant.ends && !core.token!.active;
  const outcome = judge(await ask(core, "refresh", limit, undefined, passive ? { [PASSIVE]: "1" } : {}));
  core.attempt = nextAttempt(performance.now() - began);
  if (!outcome.unavailable) {
    core.failures = 0;
    core.settle({ at, passive, ...outcome });
  }
  return outcome;
}

/** Start a pause in all tabs, and emit the event. */
function fail(core: Core, { unavailable, code, message }: Outcome, retryAfter: number): Outcome {
  const reason = unavailable!;
  core.post({ rest: retryAfter });
  core.emit("refreshFailed", { reason, retryAfter, code, message });
  return { unavailable: reason, retryAfter };
}
