/** Spans of time: how long to wait, and how old a token is. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { createToken } from "../src/token.ts";
import { backoff, fruitless, nextAttempt } from "../src/timing.ts";

const failed = { unavailable: "HTTP 503" };
const many = <T>(make: () => T) => Array.from({ length: 200 }, make);

test("after failures nobody asks for a growing while, half a minute or as long as the server says", () => {
  for (const [failures, longest] of [[1, 200], [2, 400], [3, 800], [8, 25_600], [9, 32_000], [5000, 32_000]] as const) {
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

test("what the server calls dead is dead", () => {
  const token = createToken({ accessToken: "a", lifetime: 900_000 }, 0, 0.2);
  token.expire();
  assert.ok(token.left() <= 0 && token.due() <= 0);
});

test("a refresh gets twice the time that the last one took, from five to ten seconds", () => {
  assert.deepEqual([20, 3000, 5000, 60_000].map(nextAttempt), [5000, 6000, 10_000, 10_000]);
});

test("a 401 to a token of moments ago causes no refresh, and refreshes that do not help space out, up to five minutes", () => {
  const long = { lifetime: 900_000 };
  assert.deepEqual([0, 1, 2, 3, 50].map((times) => fruitless(times, long)), [1000, 2000, 4000, 8000, 300_000]);
  assert.deepEqual([0, 1].map((times) => fruitless(times, { lifetime: 2000 })), [200, 2000]);
  assert.equal(fruitless(0, { lifetime: undefined }), 1000);
});
