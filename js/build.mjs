// Builds the one file that browsers get. `--check` compares instead of writing; `--package` makes dist/ for npm.
import { build } from "esbuild";
import { minify } from "terser";
import { execFileSync } from "node:child_process";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";

const LARGEST = 4000;
/** Properties that nobody outside sees, not even another tab, which may run another version. */
const INTERNAL = new RegExp(
  "^(changed|cover|emit|failures|flight|held|isExpired|isFresh|kill|label|look|native|news|reads|repeatable|resting|said|send|settle|" +
    "tell|tick|unavailable|used|young)$",
);
const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const served = here("../src/daypass/web/static/daypass.js");

const { outputFiles } = await build({
  entryPoints: [here("src/index.ts")],
  bundle: true,
  format: "esm",
  minifySyntax: true,
  mangleProps: INTERNAL,
  target: ["es2022"],
  write: false,
});
const options = { module: true, ecma: 2022, compress: { passes: 3, unsafe_arrows: true, keep_fargs: false } };
const { code } = await minify(outputFiles[0].text, options);
const built = Buffer.from(`${code}\n`);
const compressed = gzipSync(built, { level: 9 }).length;
if (compressed >= LARGEST) fail(`daypass.js has ${compressed} bytes compressed; it has to stay below ${LARGEST}`);

const [mode] = process.argv.slice(2);
if (mode === "--check") {
  const committed = await readFile(served).catch(() => Buffer.alloc(0));
  if (!committed.equals(built)) fail("src/daypass/web/static/daypass.js is out of date: run `make build`");
} else if (mode === "--package") {
  await rm(here("dist"), { recursive: true, force: true });
  await mkdir(here("dist"));
  await writeFile(here("dist/daypass.js"), built);
  execFileSync(here("node_modules/.bin/tsc"), ["-p", here("tsconfig.types.json")], { stdio: "inherit" });
} else {
  await mkdir(here("../src/daypass/web/static"), { recursive: true });
  await writeFile(served, built);
}
console.error(`daypass.js: ${built.length} bytes, ${compressed} compressed`);

function fail(reason) {
  console.error(reason);
  process.exit(1);
}
