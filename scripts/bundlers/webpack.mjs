// Bundles server.mjs with webpack, as docs/bundlers.md says to do it, into an ES module and a CommonJS module.

import webpack from "webpack";

const options = { mode: "production", target: "node20", entry: "./bundlers/server.mjs" };
const configurations = [
  {
    ...options,
    output: { filename: "webpack.mjs", module: true, library: { type: "module" } },
    experiments: { outputModule: true },
    externals: { "sandbox-agent-persist": "module sandbox-agent-persist" },
  },
  {
    ...options,
    output: { filename: "webpack.cjs" },
    externals: { "sandbox-agent-persist": "commonjs sandbox-agent-persist" },
  },
];

webpack(configurations, (error, stats) => {
  if (error) throw error;
  if (!stats.hasErrors()) return;
  console.error(stats.toString("errors-only"));
  process.exitCode = 1;
});
