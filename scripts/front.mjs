// @ts-check
// Builds the public front: bundles lib/ into index.js and conformance.js with their types, and what `npx` runs.

import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";

import { build } from "esbuild";
import { format, resolveConfig } from "prettier";
import { rollup } from "rollup";
import { dts } from "rollup-plugin-dts";

import { root } from "./run.mjs";

const NOTICE = "// Made of lib/ by `npm run build:front`: change that, not this.\n";
// `await using` is in no version of the language yet.
const NEEDED_TYPES = '/// <reference lib="esnext.disposable" />\n';

/** What programs import, by the name of its file. */
const entries = {
  index: path.join(root, "lib", "index.ts"),
  conformance: path.join(root, "lib", "conformance", "index.ts"),
};
const { version, napi } = JSON.parse(readFileSync(path.join(root, "package.json"), "utf8"));

await build({
  entryPoints: { ...entries, cli: path.join(root, "lib", "cli.ts") },
  outdir: root,
  bundle: true,
  platform: "node",
  format: "cjs",
  target: "node20",
  banner: { js: NOTICE },
  define: { VERSION: JSON.stringify(version), PLATFORMS: JSON.stringify(napi.targets.map(platform)) },
  logLevel: "warning",
});

for (const [name, entry] of Object.entries(entries)) {
  const declarations = await rollup({
    input: entry,
    external: ["sandbox-agent", /^node:/],
    plugins: [dts({ tsconfig: path.join(root, "lib", "tsconfig.json") })],
  });
  const { output } = await declarations.generate({ format: "es" });
  const file = path.join(root, `${name}.d.ts`);
  const text = (name === "index" ? NEEDED_TYPES : "") + NOTICE + importOfTypes(output[0].code);
  writeFileSync(file, await format(text, { ...(await resolveConfig(file)), filepath: file }));
}

/**
 * What npm/ calls a target's platform: `linux-x64-gnu` for `x86_64-unknown-linux-gnu`.
 *
 * @param {string} target
 * @returns {string}
 */
function platform(target) {
  const [processor = "", , system = "", abi] = target.split("-");
  const names = new Map([
    ["windows", "win32"],
    ["x86_64", "x64"],
    ["aarch64", "arm64"],
  ]);
  return [names.get(system) ?? system, names.get(processor) ?? processor, abi].filter(Boolean).join("-");
}

/**
 * The declarations with what they import of the SDK, which is an ES module, in the one form that a CommonJS program
 * understands as well. The bundler forgets it.
 *
 * @param {string} declarations
 * @returns {string}
 */
function importOfTypes(declarations) {
  return declarations.replace(
    /^import (\{[^}]*\}) from 'sandbox-agent';$/m,
    'import type $1 from "sandbox-agent" with { "resolution-mode": "import" };',
  );
}
