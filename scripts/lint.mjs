// @ts-check
// Checks everything that can be checked without running it: format, lints, documentation and types.

import { output, run, tool } from "./run.mjs";

const steps = [
  () => step("cargo", ["fmt", "--check"]),
  () => step("cargo", ["clippy", "--locked", "--all-targets", "--", "-D", "warnings"]),
  () =>
    step("cargo", ["doc", "--locked", "--no-deps", "--document-private-items"], {
      ...process.env,
      RUSTDOCFLAGS: "-D warnings",
    }),
  () => step("tsc", ["-p", "lib"], process.env, tool("typescript", "tsc")),
  () => step("tsc", ["-p", "."], process.env, tool("typescript", "tsc")),
  () => step("prettier", ["--check", "."], process.env, tool("prettier")),
];

// The advisories need the network, so they are a job of their own in .github/workflows/ci.yml.
if (output("cargo", ["deny", "--version"])) {
  steps.push(() => step("cargo", ["deny", "--locked", "check", "bans", "licenses", "sources"]));
} else {
  console.log("lint: cargo-deny is not installed, so the licences of dependencies are not checked");
}

for (const next of steps) next();

/**
 * @param {string} name
 * @param {string[]} args
 * @param {NodeJS.ProcessEnv} [env]
 * @param {string} [script] the file to run, for a tool that runs in Node
 */
function step(name, args, env = process.env, script) {
  console.log(`lint: ${[name, ...args].join(" ")}`);
  if (script) run(process.execPath, [script, ...args], { env });
  else run(name, args, { env });
}
