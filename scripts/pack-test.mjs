// @ts-check
// Packs the package as it would be published, installs it into an empty project, and uses it there.

import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";

import { addon, platform } from "./addon.mjs";
import { brokenLinks } from "./links.mjs";
import {
  check,
  command,
  install,
  makeProject,
  manifest,
  packMain,
  packPlatform,
  pinned,
  readManifest,
} from "./package.mjs";
import { root } from "./run.mjs";

const MAX_ADDON_BYTES = 9_000_000;

const FILES = [
  "ARCHITECTURE.md",
  "CHANGELOG.md",
  "CONTRIBUTING.md",
  "LICENSE",
  "README.md",
  "SECURITY.md",
  "__test__/support/agent/home.mjs",
  "__test__/support/agent/mock-agent.mjs",
  "cli.js",
  "conformance.d.ts",
  "conformance.js",
  "docs/benchmark-network.svg",
  "docs/benchmark.md",
  "docs/benchmark.svg",
  "docs/bundlers.md",
  "docs/cli.md",
  "docs/conformance.md",
  "docs/errors.md",
  "docs/events.md",
  "docs/live.png",
  "docs/monitoring.md",
  "docs/moving.md",
  "docs/operations.md",
  "docs/postgres.md",
  "docs/runtimes.md",
  "docs/sdk-contract.md",
  "docs/sessions.md",
  "docs/shutdown.md",
  "docs/sqlite.md",
  "examples/conformance/driver.mts",
  "examples/conformance/driver.test.mts",
  "examples/indexeddb/hand-over.mts",
  "examples/indexeddb/receive.mts",
  "examples/live/page.html",
  "examples/live/server.mts",
  "examples/live/writer.mts",
  "examples/mock-server.mjs",
  "examples/opentelemetry/instrument.mts",
  "examples/postgres-server.mts",
  "examples/resume.mts",
  "index.d.ts",
  "index.js",
  "package.json",
];

const temporary = mkdtempSync(path.join(tmpdir(), "sandbox-agent-persist-pack-"));
try {
  checkSize();
  const tarballs = packBoth();
  const project = makeProject(path.join(temporary, "project"));
  for (const directory of ["scripts/pack-test", "examples", "__test__/support/agent"]) {
    cpSync(path.join(root, directory), path.join(project, directory), { recursive: true });
  }
  say(`install ${tarballs.map((name) => path.basename(name)).join(", ")}`);
  // The version that the tests of the driver use, within the range of the peer dependency.
  install(project, ...tarballs, pinned("sandbox-agent"));
  checkInstalled(project);
  say("run the ES module and the CommonJS module");
  node(project, "scripts/pack-test/esm.mjs");
  node(project, "scripts/pack-test/commonjs.cjs");
  say("run the command line");
  runCommandLine(project);
  for (const version of ["0.5.0", undefined]) installBesideSdk(tarballs, version);
  // The example for OpenTelemetry needs its API.
  install(project, pinned("typescript"), pinned("@types/node"), pinned("@opentelemetry/api"));
  for (const module of ["node16", "nodenext"]) compile(project, module);
  // The mock agent is a shell script.
  if (process.platform !== "win32") {
    say("run the TypeScript program on the real server");
    node(project, "scripts/pack-test/typescript.mjs");
  }
  say("passed");
} catch (error) {
  console.error(`test:pack: ${error instanceof Error ? error.message : error}`);
  process.exitCode = 1;
} finally {
  rmSync(temporary, { recursive: true, force: true, maxRetries: 5 });
}

/**
 * Installs the package beside a newer SDK, or none: only its types need one, so npm must not refuse.
 *
 * @param {string[]} tarballs
 * @param {string | undefined} version
 */
function installBesideSdk(tarballs, version) {
  say(`install beside ${version ? `sandbox-agent ${version}` : "no SDK"}`);
  const project = makeProject(path.join(temporary, `beside-${version}`));
  const sdk = path.join(project, "sdk");
  if (version) {
    mkdirSync(sdk);
    writeFileSync(path.join(sdk, "package.json"), JSON.stringify({ name: "sandbox-agent", version }));
  }
  install(project, ...tarballs, ...(version ? [sdk] : []));
  node(project, "-e", `new (require("${manifest.name}").SQLiteSessionPersistDriver)().close()`);
}

function checkSize() {
  const { size } = statSync(addon);
  say(`${path.basename(addon)} has ${(size / 1024 / 1024).toFixed(1)} MB`);
  check(size < MAX_ADDON_BYTES, "The addon is too large: is it a debug build, or not stripped?");
}

/** @returns {string[]} the tarballs */
function packBoth() {
  const main = packMain(temporary);
  check(String(main.files) === String(FILES), `The main package holds ${main.files}, and should hold ${FILES}.`);
  const addonOnly = packPlatform(temporary);
  check(
    addonOnly.files.includes(path.basename(addon)),
    `The platform package holds ${addonOnly.files}, and lacks the addon.`,
  );
  return [main.tarball, addonOnly.tarball];
}

/** @param {string} project */
function checkInstalled(project) {
  for (const name of [manifest.name, `${manifest.name}-${platform}`]) {
    const installed = readManifest(path.join(project, "node_modules", name));
    check(!installed.dependencies && !installed.scripts?.postinstall, `${name} needs more than sandbox-agent.`);
    const peers = Object.keys(installed.peerDependencies ?? {});
    check(
      peers.every((peer) => peer === "sandbox-agent"),
      `${name} asks for ${peers}.`,
    );
  }
  const installed = readdirSync(path.join(project, "node_modules"));
  check(!installed.includes("typescript") && !installed.includes("tsx"), "The project is not empty.");
  const links = brokenLinks(
    path.join(project, "node_modules", manifest.name),
    FILES.filter((file) => file.endsWith(".md")),
  );
  check(links.length === 0, links.join("\n"));
}

/**
 * What `npx` finds in the project.
 *
 * @param {string} project
 */
function runCommandLine(project) {
  const npx = (/** @type {string[]} */ ...args) => command("npx", ["--no-install", manifest.name, ...args], project);
  const version = npx("--version").trim();
  check(version === `${manifest.name} ${manifest.version}`, `--version says ${version}.`);
  npx("migrate", "--yes", "--store", "shell.db");
  const sessions = npx("sessions", "--json", "--store", "shell.db");
  check(sessions === "", `A new store has sessions: ${sessions}`);
}

/**
 * @param {string} project
 * @param {string} module
 */
function compile(project, module) {
  say(`compile the TypeScript program and the examples, --module ${module}`);
  const compilerOptions = {
    module,
    target: "es2022",
    lib: ["es2023", "esnext.disposable"],
    types: ["node"],
    strict: true,
    // A module that it imports is JavaScript, with its types in comments, which are read with `allowJs` alone.
    noImplicitAny: false,
    skipLibCheck: true,
    rewriteRelativeImportExtensions: true,
  };
  const files = ["scripts/pack-test/typescript.mts", ...FILES.filter((file) => /^examples\/.*\.mts$/.test(file))];
  writeFileSync(path.join(project, "tsconfig.json"), JSON.stringify({ compilerOptions, files }));
  node(project, path.join("node_modules", "typescript", "bin", "tsc"), "-p", "tsconfig.json");
}

/**
 * @param {string} project
 * @param {string[]} args
 */
function node(project, ...args) {
  command(process.execPath, args, project);
}

/** @param {string} text */
function say(text) {
  console.log(`test:pack: ${text}`);
}
