/** A session on a server that renders pages. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

test("on a server a session is inert: it knows nobody, asks nobody, keeps no listener, and lets the process end", async () => {
  const script = fileURLToPath(new URL("rendering.ts", import.meta.url));
  const { stdout } = await promisify(execFile)(process.execPath, ["--expose-gc", script], { timeout: 10_000 });
  assert.deepEqual(JSON.parse(stdout), {
    snapshot: { status: "unknown", user: null, version: 0 },
    same: true,
    ready: null,
    codes: Array(4).fill("refresh_unavailable"),
    text: "as it is",
    kept: 0,
  });
});
