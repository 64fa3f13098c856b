// @ts-check
// Carries the version of package.json, which `npm version` has just set, to all other places that name it.

import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";

import { root, run, tool } from "./run.mjs";

const { version } = JSON.parse(readFileSync(path.join(root, "package.json"), "utf8"));
const cargoToml = path.join(root, "Cargo.toml");
writeFileSync(cargoToml, readFileSync(cargoToml, "utf8").replace(/^version = ".*"$/m, `version = "${version}"`));

const napi = tool("@napi-rs/cli", "napi");
run(process.execPath, [napi, "version"]);
// The build writes the version into index.js, which compares it with that of the platform package, and into Cargo.lock.
run(process.execPath, ["scripts/build.mjs"]);
run("git", ["add", "Cargo.toml", "Cargo.lock", "index.js", "index.d.ts", "cli.js", "npm"]);
