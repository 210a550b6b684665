/**
 * Builds what is shipped: dist/, which is the npm package's code, and what the issuer serves: the minified module, its
 * types, and the package as a tarball. All of it is committed; `--check` compares instead of writing.
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

const LARGEST = { daypass: 5400, react: 1500 }; // bytes, compressed by Brotli
const ENTRIES = ["index", "axios", "react", "vue", "server"];
const HERE = fileURLToPath(new URL(".", import.meta.url));
const SERVED = join(HERE, "../src/daypass/web/static");
const CHECKING = process.argv[2] === "--check";
const COMMON = { absWorkingDir: HERE, bundle: true, format: "esm", target: ["es2022"], write: false };
/** Entries share the core: what one of them imports from `index.ts` stays an import. */
const isIndex = (path) => /^\.\/index\.(ts|js)$/.test(path);
const shareIndex = (path) => ({
  name: "share-index",
  setup: ({ onResolve }) =>
    onResolve({ filter: /^\.\/index\.ts$/ }, ({ kind }) => kind !== "entry-point" && { path, external: true }),
});
const sourceOf = (name) => [`./src/${name}.ts`, `./src/${name}.tsx`].find((each) => existsSync(join(HERE, each)));

const served = await minified("index", "./daypass.js");
limit("daypass", served);

const types = await emitTypes();
const dist = new Map();
for (const name of ENTRIES) {
  const readable = await build({
    ...COMMON,
    entryPoints: [sourceOf(name)],
    outfile: join(HERE, "dist", `${name}.js`),
    packages: "external",
    plugins: [shareIndex("./index.js")],
    sourcemap: true,
    sourcesContent: false,
  });
  for (const { path, contents } of readable.outputFiles) dist.set(path.split("/").at(-1), contents);
  dist.set(`${name}.d.ts`, Buffer.from(rollTypes(types, `${name}.d.ts`, isIndex)));
}
limit("react", await minified("react", "daypass"));
await rm(types, { recursive: true });

await mkdir(join(HERE, "dist"), { recursive: true });
const kept = await readdir(join(HERE, "dist"));
for (const [name, contents] of dist) await put(join(HERE, "dist", name), contents);
for (const name of kept.filter((name) => !dist.has(name))) CHECKING ? fail(`js/dist/${name}`) : await rm(join(HERE, "dist", name));
await put(join(SERVED, "daypass.js"), served);
await put(join(SERVED, "daypass.js.br"), brotliCompressSync(served), brotliDecompressSync);
await put(join(SERVED, "daypass.d.ts"), dist.get("index.d.ts"));
await put(join(SERVED, "daypass-axios.js"), await minified("axios", "./daypass.js"));
await put(join(SERVED, "daypass-axios.d.ts"), `${dist.get("axios.d.ts")}`.replace("./index.js", "./daypass.js"));
await put(join(SERVED, "daypass.tgz"), await pack(), gunzipSync); // compressors differ, what is in it does not

/** Write a file if it differs, or fail where it only has to be checked. */
async function put(path, contents, read = (contents) => contents) {
  const before = await readFile(path).catch(() => undefined);
  if (before && Buffer.compare(read(before), read(Buffer.from(contents))) === 0) return;
  if (CHECKING) fail(path);
  await writeFile(path, contents);
}

async function minified(name, index) {
  const options = { entryPoints: [sourceOf(name)], minifySyntax: true, packages: "external", plugins: [shareIndex(index)] };
  const [{ text }] = (await build({ ...COMMON, ...options })).outputFiles;
  const { code } = await minify(text, { module: true, ecma: 2022, compress: { passes: 3, unsafe_arrows: true, keep_fargs: false, hoist_funs: true } });
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
  if (compressed > LARGEST[name]) throw new Error(`${name} has to stay within ${LARGEST[name]} bytes compressed`);
}

function fail(path) {
  console.error(`${path} is out of date: run \`make build\``);
  process.exit(1);
}
