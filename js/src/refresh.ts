/** The one refresh that all requests of this tab, and of all others, wait for. */
import { sleep } from "./clock.ts";
import type { Core } from "./core.ts";
import { type Outcome, ask, judge } from "./endpoints.ts";
import { exclusive } from "./lock.ts";
import { finishLogout } from "./logout.ts";
import { AFTER_A_WAIT, AT_THE_START, PATIENCE, backoff, nextAttempt, retryPause } from "./timing.ts";

/**
 * Refresh, or wait for the refresh that is under way. It belongs to no caller: none of them can cancel it, and its
 * token is kept before any of them goes on. After a failure nobody asks the server again until it is time to.
 *
 * @returns its outcome, `undefined` if another tab was first. It never fails, and ends by its deadline.
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
    core.settle({ at: core.tick(), reason: "logout" });
    return undefined;
  }
  const end = performance.now() + 3 * core.attempt;
  const left = () => end - performance.now();
  const pausing = () => {
    const retryAfter = core.paused();
    return retryAfter > 0 ? { retryAfter } : undefined;
  };
  return (
    pausing() ??
    exclusive(core.label, PATIENCE, async (waited) => {
      if (waited || !at) await core.news(waited ? AFTER_A_WAIT : AT_THE_START);
      const rest = pausing();
      if (rest) return rest;
      for (let attempts = 1; core.at === at; attempts++) {
        const found = await present(core, Math.min(core.attempt, left()));
        const pause = retryPause(found, attempts, left());
        if (!pause) return conclude(core, found);
        await sleep(pause);
      }
      return undefined;
    })
  );
}

/** Send one refresh; a change that it brings about is applied, and posted, before it returns. */
async function present(core: Core, limit: number): Promise<Outcome> {
  const at = core.tick();
  const began = performance.now();
  const outcome = judge(await ask(core, "refresh", limit));
  core.attempt = nextAttempt(performance.now() - began);
  if (!outcome.unavailable) core.settle({ at, ...outcome });
  return outcome;
}

/** After a failure, let no tab refresh for a while. */
function conclude(core: Core, outcome: Outcome): Outcome {
  const { unavailable: reason, code, hint } = outcome;
  if (!reason) {
    core.failures = 0;
    return outcome;
  }
  const retryAfter = backoff(++core.failures, outcome);
  core.pause(retryAfter);
  core.post({ rest: retryAfter });
  core.emit("refreshFailed", { reason, retryAfter, code });
  if (!core.at && core.failures === 1) {
    console.warn(`daypass: ${core.url}/${reason}. ${hint ?? "Is the server there? Else set the option url"}`);
  }
  return { unavailable: reason, retryAfter };
}
