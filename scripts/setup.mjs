// @ts-check
// Makes a fresh clone ready, with Node alone: installs the dependencies and builds the addon and its front, each only when
// needed.
//
//   node scripts/setup.mjs              dependencies, addon and front
//   node scripts/setup.mjs --no-build   dependencies only

import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import path from "node:path";

import { addon } from "./addon.mjs";
import { fail, output, root, run } from "./run.mjs";

requireNode();
installDependencies();
if (!process.argv.includes("--no-build")) build();

function requireNode() {
  const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
  // 20.11 is the first whose test runner has the options that `npm test` passes.
  if (major > 20 || (major === 20 && minor >= 11)) return;
  fail(`Node 20.11 or newer is needed, this is ${process.version}.`, "Get it from https://nodejs.org");
}

function installDependencies() {
  const stale = staleDependency();
  if (!stale) return;
  console.log(`setup: npm ci (${stale})`);
  run("npm", ["ci", "--no-audit", "--no-fund"]);
}

/**
 * Why `npm ci` has to run, if it has to. npm keeps what it installed in `node_modules/.package-lock.json`, so that the
 * two can be compared; times of files would say nothing after `npm install` or `git checkout`.
 *
 * @returns {string | undefined}
 */
function staleDependency() {
  const record = path.join(root, "node_modules", ".package-lock.json");
  if (!existsSync(record)) return "there is no node_modules";
  const installed = packagesOf(record);
  const wanted = packagesOf(path.join(root, "package-lock.json"));
  for (const [name, { version, integrity, optional, devOptional }] of Object.entries(wanted)) {
    const found = installed[name];
    // Optional packages of other systems are in the lock file and never in node_modules.
    if (name === "" || (!found && (optional || devOptional))) continue;
    if (found?.version !== version || found?.integrity !== integrity) return `${name} is not that of package-lock.json`;
  }
  const extra = Object.keys(installed).find((name) => !wanted[name]);
  return extra && `${extra} is not in package-lock.json`;
}

/**
 * @typedef {{ version?: string, integrity?: string, optional?: boolean, devOptional?: boolean }} LockedPackage
 * @param {string} file
 * @returns {Record<string, LockedPackage>}
 */
function packagesOf(file) {
  return JSON.parse(readFileSync(file, "utf8")).packages;
}

function build() {
  const reason = stale(
    [addon],
    ["src"],
    [".cargo/config.toml", "Cargo.toml", "Cargo.lock", "build.rs", "package.json"],
  );
  if (reason) {
    requireCompilers();
    console.log(`setup: npm run build (${reason}); the first build takes a few minutes`);
    run(process.execPath, ["scripts/build.mjs"]);
    return;
  }
  const front = ["index.js", "index.d.ts", "conformance.js", "conformance.d.ts", "cli.js"].map((file) =>
    path.join(root, file),
  );
  const reasonOfFront = stale(front, ["lib"], ["scripts/front.mjs", "package.json"]);
  if (!reasonOfFront) return;
  console.log(`setup: npm run build:front (${reasonOfFront})`);
  run(process.execPath, ["scripts/front.mjs"]);
}

/**
 * Why the files have to be built, if they have to. A debug build that is newer than the sources stays: whoever made it
 * wants to run it.
 *
 * @param {string[]} built
 * @param {string[]} folders whose whole content they are made from
 * @param {string[]} files that they are made from as well
 * @returns {string | undefined}
 */
function stale(built, folders, files) {
  const missing = built.find((file) => !existsSync(file));
  if (missing) return `there is no ${path.basename(missing)}`;
  const builtAt = Math.min(...built.map((file) => statSync(file).mtimeMs));
  // The folders count too: their times change when a file is removed.
  const sources = folders.flatMap((folder) => [
    folder,
    ...readdirSync(path.join(root, folder), { recursive: true, encoding: "utf8" }).map((file) =>
      path.join(folder, file),
    ),
  ]);
  const newer = [...files, ...sources].find((file) => statSync(path.join(root, file)).mtimeMs > builtAt);
  return newer && `${newer} is newer than ${built.map((file) => path.basename(file)).join(" and ")}`;
}

function requireCompilers() {
  const cargo = output("cargo", ["--version"]);
  if (!cargo) {
    fail("Rust is needed to build the addon, and `cargo` was not found.", "Install it from https://rustup.rs");
  }
  const wanted = /^rust-version = "(\d+)\.(\d+)/m.exec(readFileSync(path.join(root, "Cargo.toml"), "utf8"));
  const found = /^cargo (\d+)\.(\d+)/.exec(cargo);
  if (wanted && found && Number(found[1]) === Number(wanted[1]) && Number(found[2]) < Number(wanted[2])) {
    fail(`Rust ${wanted[1]}.${wanted[2]} or newer is needed, this is ${found[1]}.${found[2]}.`, "Run: rustup update");
  }
  // On Windows the compiler is not on the PATH: rustup asks for it, and cargo finds it or says that it is missing.
  if (process.platform === "win32" || output(process.env["CC"] ?? "cc", ["--version"])) return;
  fail(
    `A C compiler is needed to build SQLite, and \`${process.env["CC"] ?? "cc"}\` was not found.`,
    process.platform === "darwin"
      ? "Run: xcode-select --install"
      : "Debian, Ubuntu: apt-get install build-essential   Fedora: dnf install gcc   Alpine: apk add build-base",
  );
}
