// @ts-check
// Builds the addon, and then the public front over it.
//
//   node scripts/build.mjs           as it is released
//   node scripts/build.mjs --debug   with debug assertions and symbols, rebuilt quickly
//
// Other options, such as --target, go to `napi build`.

import { root, run, tool } from "./run.mjs";

const options = process.argv.slice(2).filter((option) => option !== "--debug");
const profile = process.argv.includes("--debug") ? [] : ["--release"];

// lib/native.ts finds the addon, and lib/addon.ts has its types, so napi-rs writes neither; it has no option to leave the types out.
const built = ["--platform", "--no-js", "--dts", "target/addon.d.ts"];
run(process.execPath, [tool("@napi-rs/cli", "napi"), "build", ...built, ...profile, ...options], { cwd: root });
run(process.execPath, ["scripts/front.mjs"], { cwd: root });
