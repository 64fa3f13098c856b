// @ts-check
// How jest reads TypeScript here.
const { transformSync } = require("esbuild");

module.exports = {
  process: (/** @type {string} */ source) => transformSync(source, { loader: "ts", format: "cjs", target: "node20" }),
};
