/** Spans of time: how long to wait, and how old a token is. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { createToken } from "../src/token.ts";
import { backoff, fruitless, nextAttempt, retryPause } from "../src/timing.ts";

const failed = { unavailable: "HTTP 503" };
const many = <T>(make: () => T) => Array.from({ length: 200 }, make);

test("a refresh is sent three times at the most, with growing pauses, and never past its deadline", () => {
  for (const pause of many(() => retryPause(failed, 1, 9000)!)) assert.ok(pause >= 100 && pause <= 200);
  for (const pause of many(() => retryPause(failed, 2, 9000)!)) assert.ok(pause >= 400 && pause <= 800);
  assert.equal(retryPause(failed, 3, 9000), undefined);
  assert.equal(retryPause(failed, 1, 50), undefined);
  assert.equal(retryPause({ ...failed, retryAfter: 2000 }, 1, 9000), 2000);
  assert.equal(retryPause({ ...failed, retryAfter: 20_000 }, 1, 9000), undefined);
});

test("what was settled is not asked again", () => {
  assert.equal(retryPause({ reason: "over" }, 1, 9000), undefined);
  assert.equal(retryPause({ grant: { accessToken: "a", lifetime: 1 } }, 1, 9000), undefined);
});

test("after failures nobody asks for a growing while, half a minute or as long as the server says", () => {
  for (const [failures, longest] of [[1, 1000], [2, 2000], [5, 16_000], [6, 32_000], [5000, 32_000]] as const) {
    for (const span of many(() => backoff(failures, failed))) assert.ok(span >= longest / 2 && span <= longest);
  }
  assert.equal(backoff(1, { ...failed, retryAfter: 60_000 }), 60_000);
});

test("a token is refreshed in its last fifth, spread over the first half of that, and dies at its end", () => {
  for (const young of many(() => createToken({ accessToken: "a", lifetime: 100_000 }, 0, 0.2).due())) {
    assert.ok(young > 79_000 && young <= 90_000, String(young));
  }
  const old = createToken({ accessToken: "a", lifetime: 100_000 }, 100_000, 0.2);
  assert.ok(old.left() <= 0 && old.due() < 0);
});

test("a token of unknown life is never old, and one of ten years overflows nothing", () => {
  const unknown = createToken({ accessToken: "a", lifetime: undefined }, 1e12, 0.2);
  assert.deepEqual([unknown.left(), unknown.due()], [Infinity, Infinity]);
  const long = createToken({ accessToken: "a", lifetime: 10 * 365 * 86_400_000 }, 0, 0.2);
  assert.ok(long.left() > 0 && long.due() > 2 ** 31);
});

test("only a token of moments ago is fresh, and what the server calls dead is dead", () => {
  const fresh = (lifetime: number, age: number) => createToken({ accessToken: "a", lifetime }, age, 0.2).isFresh();
  assert.deepEqual([fresh(900_000, 500), fresh(900_000, 1100), fresh(2000, 100), fresh(2000, 300)], [true, false, true, false]);
  const token = createToken({ accessToken: "a", lifetime: 900_000 }, 0, 0.2);
  token.expire();
  assert.ok(token.left() <= 0 && token.due() <= 0);
});

test("a refresh gets twice the time that the last one took, from five to ten seconds", () => {
  assert.deepEqual([20, 3000, 5000, 60_000].map(nextAttempt), [5000, 6000, 10_000, 10_000]);
});

test("refreshes that do not help space out, up to five minutes", () => {
  assert.deepEqual([1, 2, 3, 50].map(fruitless), [2000, 4000, 8000, 300_000]);
});
