// @ts-check
// Packs the package as it would be published, installs it into an empty project, and uses it there.

import { spawnSync } from "node:child_process";
import {
  copyFileSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";

import { addon, platform } from "./addon.mjs";
import { root } from "./run.mjs";

const MAX_ADDON_BYTES = 8 * 1024 * 1024;

const main = readManifest(root);
const temporary = mkdtempSync(path.join(tmpdir(), "sandbox-agent-persist-pack-"));
try {
  checkSize();
  const tarballs = [packMain(), packPlatform()];
  const project = makeProject();
  // The version that the tests of the driver use, within the range of the peer dependency.
  install(project, ...tarballs, `sandbox-agent@${main.devDependencies["sandbox-agent"]}`);
  checkInstalled(project);
  say("run the ES module and the CommonJS module");
  node(project, "scripts/pack-test/esm.mjs");
  node(project, "scripts/pack-test/commonjs.cjs");
  install(project, ...["typescript", "@types/node"].map((name) => `${name}@${main.devDependencies[name]}`));
  for (const module of ["node16", "nodenext"]) compile(project, module);
  // The mock agent of the examples is a shell script.
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

function checkSize() {
  const { size } = statSync(addon);
  say(`${path.basename(addon)} has ${(size / 1024 / 1024).toFixed(1)} MB`);
  check(size < MAX_ADDON_BYTES, "The addon is too large: is it a debug build, or not stripped?");
}

/** @returns {string} the tarball */
function packMain() {
  const { tarball, files } = pack(root);
  const expected = ["LICENSE", "README.md", "index.d.ts", "index.js", "package.json"];
  check(String(files) === String(expected), `The main package holds ${files}, and should hold ${expected}.`);
  return tarball;
}

/** Packs a copy of the platform's package, with the addon in it, so that git never sees one. */
function packPlatform() {
  const directory = path.join(temporary, platform);
  cpSync(path.join(root, "npm", platform), directory, { recursive: true });
  copyFileSync(addon, path.join(directory, path.basename(addon)));
  const { tarball, files } = pack(directory);
  check(files.includes(path.basename(addon)), `The platform package holds ${files}, and lacks the addon.`);
  return tarball;
}

/**
 * @param {string} directory
 * @returns {{ tarball: string, files: string[] }}
 */
function pack(directory) {
  const printed = command("npm", ["pack", "--json", "--pack-destination", temporary, directory], root);
  const report = JSON.parse(printed);
  // An array until npm 11, an object by package name since npm 12.
  const [{ filename, files }] = Object.values(report);
  say(`packed ${filename}`);
  return {
    tarball: path.join(temporary, filename),
    files: files.map((/** @type {{ path: string }} */ file) => file.path).sort(),
  };
}

/** An empty project, and the programs to run in it. */
function makeProject() {
  const project = path.join(temporary, "project");
  mkdirSync(project);
  const allowScripts = main.allowScripts;
  writeFileSync(path.join(project, "package.json"), JSON.stringify({ name: "empty", private: true, allowScripts }));
  for (const directory of ["scripts/pack-test", "examples"]) {
    cpSync(path.join(root, directory), path.join(project, directory), { recursive: true });
  }
  return project;
}

/**
 * @param {string} project
 * @param {string[]} packages
 */
function install(project, ...packages) {
  say(`install ${packages.map((name) => (path.isAbsolute(name) ? path.basename(name) : name)).join(", ")}`);
  command("npm", ["install", "--prefer-offline", "--no-audit", "--no-fund", ...packages], project);
}

/** @param {string} project */
function checkInstalled(project) {
  for (const name of [main.name, `${main.name}-${platform}`]) {
    const manifest = readManifest(path.join(project, "node_modules", name));
    check(!manifest.dependencies && !manifest.scripts?.postinstall, `${name} needs more than sandbox-agent.`);
    const peers = Object.keys(manifest.peerDependencies ?? {});
    check(
      peers.every((peer) => peer === "sandbox-agent"),
      `${name} asks for ${peers}.`,
    );
  }
  const installed = readdirSync(path.join(project, "node_modules"));
  check(!installed.includes("typescript") && !installed.includes("tsx"), "The project is not empty.");
}

/**
 * @param {string} project
 * @param {string} module
 */
function compile(project, module) {
  say(`compile the TypeScript program, --module ${module}`);
  const compilerOptions = {
    module,
    target: "es2022",
    lib: ["es2023", "esnext.disposable"],
    types: ["node"],
    strict: true,
    skipLibCheck: true,
    rewriteRelativeImportExtensions: true,
  };
  const files = ["scripts/pack-test/typescript.mts"];
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

/**
 * Runs a command without anything in the environment that could lead it back to this checkout.
 *
 * @param {string} name
 * @param {string[]} args
 * @param {string} cwd
 * @returns {string} what it printed
 */
function command(name, args, cwd) {
  const { NODE_PATH, NODE_OPTIONS, NAPI_RS_NATIVE_LIBRARY_PATH, ...env } = process.env;
  // The loader then refuses a platform package of another version than its own.
  env["NAPI_RS_ENFORCE_VERSION_CHECK"] = "1";
  const shell = process.platform === "win32" && name === "npm";
  const result = spawnSync(name, args, { cwd, env, shell, encoding: "utf8", maxBuffer: 64 * 1024 * 1024 });
  if (result.error) throw result.error;
  const failure = `${[name, ...args].join(" ")} failed:\n${result.stdout}${result.stderr}`;
  check(result.status === 0, failure);
  return result.stdout;
}

/** @param {string} directory */
function readManifest(directory) {
  return JSON.parse(readFileSync(path.join(directory, "package.json"), "utf8"));
}

/**
 * @param {boolean} condition
 * @param {string} message
 */
function check(condition, message) {
  if (!condition) throw new Error(message);
}

/** @param {string} text */
function say(text) {
  console.log(`test:pack: ${text}`);
}
