// @ts-check
// Bundles server.mjs with esbuild, as docs/bundlers.md says to do it, into an ES module and a CommonJS module.

import { build } from "esbuild";

/** @type {import("esbuild").BuildOptions} */
const options = {
  entryPoints: ["bundlers/server.mjs"],
  bundle: true,
  platform: "node",
  external: ["sandbox-agent-persist"],
};
await build({ ...options, format: "esm", outfile: "dist/esbuild.mjs" });
await build({ ...options, format: "cjs", outfile: "dist/esbuild.cjs" });
