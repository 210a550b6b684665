/** Rolls the declarations that one entry exports, and what they need, into one file. */
import { readFileSync } from "node:fs";
import { join } from "node:path";

const FROM = /^(import|export) (?:type )?\{([^}]*)\} from "([^"]+)";$/;
const NAMED = /^(?:declare )?(?:abstract )?(?:function|class|const|interface|type) (\w+)/;
const COMMENT = /^\s*\/\*\*[\s\S]*?\*\/\n/;

/**
 * The default export of a part is for the core alone: it is left out.
 *
 * @param folder what tsc has emitted; each file imports from its own folder by names that are not changed.
 * @param entry a declaration file there, such as `index.d.ts`.
 * @param external whether an import from that folder stays an import.
 */
export function rollTypes(folder, entry, external) {
  const imports = new Map(); // what is imported, by name
  const exported = new Set();
  const declared = []; // {name, text}, in the order of their files
  const visited = new Set();
  visit(entry);
  const needed = reachable(declared.filter(({ name }) => !imports.has(name)), exported);
  const texts = declared
    .filter(({ name }) => needed.has(name) && !imports.has(name))
    .map(({ name, text }) => text.replace(/^(declare|interface|type)/m, exported.has(name) ? "export $1" : "$1"));
  return [...importLines(imports, texts.join("\n")), ...texts, "export {};", ""].join("\n");

  function visit(file) {
    if (visited.has(file)) return;
    visited.add(file);
    for (const statement of statements(readFileSync(join(folder, file), "utf8"))) {
      const [comment = ""] = COMMENT.exec(statement) ?? [];
      const bare = statement.slice(comment.length);
      const [, kind, names, from] = FROM.exec(bare) ?? [];
      const name = NAMED.exec(bare.replace(/^export /, ""))?.[1];
      if (from && (!from.startsWith(".") || external(from))) {
        for (const each of listed(names)) imports.set(each, from.replace(/\.tsx?$/, ".js"));
      }
      else if (from) {
        if (file === entry && kind === "export") {
          for (const each of listed(names)) exported.add(each);
        }
        visit(from.slice(2).replace(/\.tsx?$/, ".d.ts"));
      } else if (name) {
        if (file === entry && bare.startsWith("export ")) exported.add(name);
        declared.push({ name, text: comment + bare.replace(/^export /, "") });
      } else if (!/^export (\{\}|default \w+);$/.test(bare)) throw new Error(`${file}: cannot roll ${bare}`);
    }
  }
}

const listed = (names) => names.split(",").map((each) => each.trim().replace(/^type /, "")).filter(Boolean);

/** Return the imports of the names that `text` uses. */
function importLines(imports, text) {
  const used = [...imports].filter(([name]) => new RegExp(`\\b${name}\\b`).test(text));
  return [...new Set(used.map(([, from]) => from))].map(
    (from) => `import type { ${used.filter((each) => each[1] === from).map(([name]) => name).join(", ")} } from "${from}";`,
  );
}

/** Split into top-level statements, each with the comment before it. */
function statements(text) {
  return text.match(/(?:^\/\*\*(?:(?!\*\/)[\s\S])*\*\/\n)?^(?!\/\*)\S.*(?:[^{\n]$|\{\n(?:^\s.*\n)*^\}.*$)/gm) ?? [];
}

/** Return `wanted` and the types that they refer to; types are what begins with a capital letter. */
function reachable(declared, wanted) {
  const found = new Set(wanted);
  for (const name of found) {
    for (const { text } of declared.filter((each) => each.name === name)) {
      for (const [word] of text.replace(/\/\*\*[\s\S]*?\*\//g, "").matchAll(/\b[A-Z]\w*/g)) {
        if (declared.some((each) => each.name === word)) found.add(word);
      }
    }
  }
  return found;
}
