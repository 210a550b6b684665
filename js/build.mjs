/**
 * Builds what is shipped: dist/, which is the npm package's code, and what the issuer serves: the minified module, its
 * types, and the package as a tarball. All of it is committed; `--check` compares instead of writing.
 *
 * A dynamic import in the source, such as `import("./idle.ts")`, is a *part*: a file of its own that the browser loads
 * when it is first asked for, `dist/idle.js` and `/auth/daypass-idle.js`. A part is given what it needs of the session;
 * types it may import from anywhere, and errors from `./index.ts`: a bundled copy of the classes would be other classes.
 */
import { build } from "esbuild";
import { minify } from "terser";
import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { brotliCompressSync, brotliDecompressSync, gunzipSync } from "node:zlib";
import { rollTypes } from "./roll_types.mjs";

/** Bytes, compressed by Brotli. */
const LARGEST = {
  daypass: 5000,
  react: 1500,
  axios: 800,
  install: 300,
  "part schedule": 600,
  "part own_requests": 500,
  "part login": 1300,
  "part step_up": 1300,
  "part ending": 1000,
  "part dpop": 2000,
  "part socket": 2900,
  "part eventsource": 1600,
};
const ENTRIES = ["index", "axios", "install", "react", "vue", "server", "socket", "dpop", "verify"];
const ENTRIES_SERVED = ["axios", "install"]; // beside the core
const HERE = fileURLToPath(new URL(".", import.meta.url));
const SERVED = join(HERE, "../src/daypass/web/static");
/** Compressors differ, what is in it does not. */
const READ = { br: brotliDecompressSync, tgz: gunzipSync };
const CHECKING = process.argv[2] === "--check";
const COMMON = { absWorkingDir: HERE, bundle: true, format: "esm", target: ["es2022"], write: false };
/** The parts that the source asks for, found by the builds. */
const parts = new Set();
/** Leave imports of the core and of parts as they are, by the names that these files get. */
const share = (fileOf) => ({
  name: "share",
  setup: ({ onResolve }) =>
    onResolve({ filter: /^\.\/\w+\.ts$/ }, ({ kind, path }) => {
      const name = path.slice(2, -3);
      if (kind === "dynamic-import") parts.add(name);
      else if (name !== "index") return undefined;
      return { path: fileOf(name), external: true };
    }),
});
const isIndex = (path) => /^\.\/index\.(ts|js)$/.test(path);
const packaged = (name) => `./${name}.js`;
const served = (name) => (name === "index" ? "./daypass.js" : `./daypass-${name.replaceAll("_", "-")}.js`);
const sourceOf = (name) => [`./src/${name}.ts`, `./src/${name}.tsx`].find((each) => existsSync(join(HERE, each)));

const core = await minified("index");
limit("daypass", core);

const types = await emitTypes();
const dist = new Map();
for (const name of ENTRIES) {
  await addReadable(name);
  dist.set(`${name}.d.ts`, Buffer.from(rollTypes(types, `${name}.d.ts`, (path) => name !== "index" && isIndex(path))));
}
for (const name of parts) if (!dist.has(`${name}.js`)) await addReadable(name);
limit("react", await minified("react"));
await rm(types, { recursive: true });
await put(join(HERE, "dist"), dist);

const files = new Map([
  ["daypass.js", core],
  ["daypass.js.br", brotliCompressSync(core)],
  ["daypass.d.ts", dist.get("index.d.ts")],
]);
for (const name of ENTRIES_SERVED) {
  files.set(`daypass-${name}.js`, limit(name, await minified(name)));
  files.set(`daypass-${name}.d.ts`, `${dist.get(`${name}.d.ts`)}`.replace("./index.js", "./daypass.js"));
}
for (const name of parts) files.set(served(name).slice(2), limit(`part ${name}`, await minified(name)));
files.set("daypass.tgz", await pack()); // last: it holds dist as it is now
await put(SERVED, files);

/** Write the files of a folder that differ and remove all others, or fail where it only has to be checked. */
async function put(folder, contents) {
  await mkdir(folder, { recursive: true });
  for (const [name, content] of contents) {
    const path = join(folder, name);
    const read = READ[name.split(".").at(-1)] ?? ((content) => content);
    const before = await readFile(path).catch(() => undefined);
    if (before && Buffer.compare(read(before), read(Buffer.from(content))) === 0) continue;
    CHECKING ? fail(path) : await writeFile(path, content);
  }
  for (const name of await readdir(folder)) {
    if (!contents.has(name)) CHECKING ? fail(join(folder, name)) : await rm(join(folder, name));
  }
}

/** Build what the npm package has for one entry or part. */
async function addReadable(name) {
  const { outputFiles, metafile } = await build({
    ...COMMON,
    entryPoints: [sourceOf(name)],
    outfile: join(HERE, "dist", `${name}.js`),
    packages: "external",
    plugins: [share(packaged)],
    sourcemap: true,
    sourcesContent: false,
    metafile: true,
  });
  const included = Object.values(metafile.outputs).flatMap(({ inputs }) => Object.keys(inputs));
  if (name !== "index" && included.includes("src/errors.ts")) throw new Error(`${name}: import errors from "./index.ts"`);
  for (const { path, contents } of outputFiles) dist.set(path.split("/").at(-1), contents);
}

async function minified(name) {
  const options = { entryPoints: [sourceOf(name)], minifySyntax: true, packages: "external", plugins: [share(served)] };
  const [{ text }] = (await build({ ...COMMON, ...options })).outputFiles;
  const { code } = await minify(text, { module: true, ecma: 2022, compress: { passes: 3, unsafe_arrows: true, keep_fargs: false, inline: 1 } });
  return Buffer.from(`${code}\n`);
}

async function emitTypes() {
  const folder = await mkdtemp(join(tmpdir(), "daypass-types-"));
  execFileSync("node_modules/.bin/tsc", ["-p", "tsconfig.types.json", "--outDir", folder], { cwd: HERE, stdio: "inherit" });
  return folder;
}

async function pack() {
  const folder = await mkdtemp(join(tmpdir(), "daypass-pack-"));
  const options = ["--silent", "--ignore-scripts", "--pack-destination", folder];
  execFileSync("npm", ["pack", ...options], { cwd: HERE, stdio: ["ignore", "ignore", "inherit"] });
  const [name] = await readdir(folder);
  const packed = await readFile(join(folder, name));
  await rm(folder, { recursive: true });
  return packed;
}

function limit(name, code) {
  const compressed = brotliCompressSync(code).length;
  console.error(`${name}: ${code.length} bytes, ${compressed} compressed`);
  if (!(compressed <= LARGEST[name])) throw new Error(`${name} has to stay within ${LARGEST[name]} bytes compressed`);
  return code;
}

function fail(path) {
  console.error(`${path} is out of date: run \`make build\``);
  process.exit(1);
}
