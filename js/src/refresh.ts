/** The one refresh that everybody in this tab, and in all others, waits for. */
import { sleep } from "./clock.ts";
import type { Core } from "./core.ts";
import { exclusive } from "./lock.ts";
import { finishLogout } from "./logout.ts";
import { AFTER_A_WAIT, AT_THE_START, ATTEMPT, DEADLINE, PATIENCE, backoff, retryPause } from "./timing.ts";
import { type Outcome, ask, judge } from "./wire.ts";

/**
 * Refresh, or wait for the refresh that is under way. It belongs to no caller: none of them can cancel it, and what it
 * brings is kept before anybody wakes. After a failure nobody asks the server again until it is time to.
 *
 * @returns what came of it, `undefined` where another tab was first. It never fails, and ends by its deadline.
 */
export function refresh(core: Core): Promise<Outcome | undefined> {
  return (core.flight ??= fly(core).finally(() => {
    core.flight = undefined;
    core.changed.forEach((each) => each());
  }));
}

async function fly(core: Core): Promise<Outcome | undefined> {
  const { at } = core;
  if (!at && (await finishLogout(core))) {
    core.settle({ at: core.tick(), reason: "logout" });
    return undefined;
  }
  const end = performance.now() + DEADLINE;
  const rests = () => {
    const retryAfter = core.resting();
    return retryAfter ? { unavailable: "refresh failed", retryAfter } : undefined;
  };
  return (
    rests() ??
    exclusive(core.label, PATIENCE, async (waited) => {
      if (waited || !at) await core.news(waited ? AFTER_A_WAIT : AT_THE_START);
      let outcome: Outcome | undefined = rests();
      for (let attempts = 1; !outcome && core.at === at; attempts++) {
        const found = await present(core, Math.min(ATTEMPT, end - performance.now()));
        const pause = retryPause(found, attempts, end - performance.now());
        if (pause) await sleep(pause);
        else outcome = conclude(core, found);
      }
      return outcome;
    })
  );
}

/** Send one refresh; a change that it brings about is taken in, and told, before it returns. */
async function present(core: Core, limit: number): Promise<Outcome> {
  const at = core.tick();
  const outcome = judge(await ask(core, "refresh", limit));
  if (!outcome.unavailable) core.settle({ at, ...outcome });
  return outcome;
}

/** Let nobody refresh for a while after a failure, in no tab. */
function conclude(core: Core, outcome: Outcome): Outcome {
  const { unavailable: reason } = outcome;
  if (!reason) {
    core.failures = 0;
    return outcome;
  }
  const retryAfter = backoff(++core.failures, outcome);
  core.rest(retryAfter);
  core.tell({ rest: retryAfter });
  core.emit("refreshFailed", { reason, retryAfter });
  return { unavailable: reason, retryAfter };
}
