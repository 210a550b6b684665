/** All tabs come to the same end, in whatever order they hear of things. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { createEvents } from "../src/events.ts";
import { type Change, createState } from "../src/state.ts";

const grant = (accessToken: string) => ({ accessToken, lifetime: 60_000 });
const state = () => createState(0.2, createEvents().emit, () => {});

function orders<T>(things: T[]): T[][] {
  if (!things.length) return [[]];
  return things.flatMap((thing) => orders(things.filter((each) => each !== thing)).map((rest) => [thing, ...rest]));
}

test("whatever the order in which changes arrive, the one that set out last is what holds", () => {
  const refreshed: Change = { at: 10, grant: grant("old") };
  const loggedOut: Change = { at: 20, reason: "logout" };
  const rejected: Change = { at: 25, reason: "refresh: HTTP 401" };
  const loggedIn: Change = { at: 30, grant: grant("new") };
  const cases: [Change[], string | undefined][] = [
    [[refreshed, loggedOut], undefined],
    [[refreshed, loggedOut, loggedIn], "new"],
    [[rejected, loggedIn, refreshed], "new"],
    [[refreshed, loggedOut, rejected, loggedIn], "new"],
  ];
  for (const [changes, expected] of cases) {
    for (const order of orders(changes)) {
      const tab = state();
      for (const change of order) tab.settle(change, true);
      assert.equal(tab.token?.accessToken, expected);
    }
  }
});

test("a tick is later than all that was heard of, even from a tab whose clock is years ahead", () => {
  const tab = state();
  const future = Date.now() + 1e11;
  tab.settle({ at: future, grant: grant("a") }, true);
  let last = future;
  for (let turn = 0; turn < 100; turn++) {
    const at = tab.tick();
    assert.ok(at > last);
    last = at;
  }
  tab.settle({ at: tab.tick(), reason: "logout" });
  assert.equal(tab.token, undefined);
});

test("each change is told once, by the name of what it is, and without the token", async () => {
  const events = createEvents();
  const told: unknown[] = [];
  for (const name of ["loggedIn", "refreshed", "loggedOut"] as const) {
    events.on(name, (event) => told.push([name, event]));
  }
  const tab = createState(0.2, events.emit, () => {});
  tab.settle({ at: 1, reason: "nobody" });
  tab.settle({ at: 2, grant: grant("secret-a") });
  tab.settle({ at: 2, grant: grant("secret-a") });
  tab.settle({ at: 3, grant: grant("secret-b") }, true);
  tab.settle({ at: 4, reason: "logout" });
  tab.settle({ at: 5, reason: "logout" });
  await null;
  assert.deepEqual(told, [
    ["loggedIn", { user: null, lifetime: 60_000, shared: false }],
    ["refreshed", { user: null, lifetime: 60_000, shared: true }],
    ["loggedOut", { reason: "logout", shared: false }],
  ]);
  assert.ok(!JSON.stringify(told).includes("secret"));
});
