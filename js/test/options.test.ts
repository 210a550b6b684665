/** Options that cannot work are refused by name. */
import assert from "node:assert/strict";
import { test } from "node:test";
import "./page.ts";
import { type SessionOptions, createSession } from "../src/index.ts";

test("an unknown or useless option is refused, with what to write", () => {
  const refused: [object, RegExp][] = [
    [{ origin: [] }, /unknown option 'origin'/],
    [{ origins: ["localhost:8802"] }, /origins: "localhost:8802": expected a value such as https:/],
    [{ origins: ["/api"] }, /origins: "\/api"/],
    [{ ahead: 2 }, /ahead: 2: expected a value such as 0\.2/],
    [{ ahead: 1 }, /ahead: 1/],
    [{ ahead: -0.1 }, /ahead: -0.1/],
    [{ ahead: NaN }, /ahead/],
    [{ url: "https://" }, /url: "https:\/\/": expected a value such as \/auth/],
  ];
  for (const [options, expected] of refused) assert.throws(() => createSession(options as SessionOptions), expected);
  createSession({ url: "/auth/", origins: ["https://api.example.com"], ahead: 0, restore: false }).close();
});
