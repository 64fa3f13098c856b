// @ts-check
// Packs this package and the binary of this machine as they would be published, and installs them into other projects. The
// tests of the package and of bundlers start here.

import { spawnSync } from "node:child_process";
import { copyFileSync, cpSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";

import { addon, platform } from "./addon.mjs";
import { root } from "./run.mjs";

/** What a tarball is called, and which files are in it. @typedef {{ tarball: string, files: string[] }} Packed */

/** The package.json of this package. */
export const manifest = readManifest(root);

/**
 * Packs the package itself.
 *
 * @param {string} destination
 * @returns {Packed}
 */
export function packMain(destination) {
  return pack(root, destination);
}

/**
 * Packs a copy of the platform's package, with the addon in it, so that git never sees one.
 *
 * @param {string} destination
 * @returns {Packed}
 */
export function packPlatform(destination) {
  const directory = path.join(destination, platform);
  cpSync(path.join(root, "npm", platform), directory, { recursive: true });
  copyFileSync(addon, path.join(directory, path.basename(addon)));
  return pack(directory, destination);
}

/**
 * @param {string} directory
 * @param {string} destination
 * @returns {Packed}
 */
function pack(directory, destination) {
  const printed = command("npm", ["pack", "--json", "--pack-destination", destination, directory], root);
  const report = JSON.parse(printed);
  // An array until npm 11, an object by package name since npm 12.
  const [{ filename, files }] = Object.values(report);
  return {
    tarball: path.join(destination, filename),
    files: files.map((/** @type {{ path: string }} */ file) => file.path).sort(),
  };
}

/**
 * Makes a project with nothing in it.
 *
 * @param {string} directory
 * @returns {string} the directory
 */
export function makeProject(directory) {
  mkdirSync(directory);
  const { allowScripts } = manifest;
  writeFileSync(path.join(directory, "package.json"), JSON.stringify({ name: "empty", private: true, allowScripts }));
  return directory;
}

/**
 * @param {string} project
 * @param {string[]} packages names with versions, or tarballs
 */
export function install(project, ...packages) {
  command("npm", ["install", "--prefer-offline", "--no-audit", "--no-fund", ...packages], project);
}

/** The package as our own tests use it: `name@version`, of a development dependency. @param {string} name */
export function pinned(name) {
  return `${name}@${manifest.devDependencies[name]}`;
}

/**
 * Runs a command without anything in the environment that could lead it back to this checkout.
 *
 * @param {string} name
 * @param {string[]} args
 * @param {string} cwd
 * @param {Record<string, string>} [variables]
 * @returns {string} what it printed
 */
export function command(name, args, cwd, variables = {}) {
  const { NODE_PATH, NODE_OPTIONS, NAPI_RS_NATIVE_LIBRARY_PATH, ...inherited } = process.env;
  const env = { ...inherited, ...variables };
  const shell = process.platform === "win32" && ["npm", "npx"].includes(name);
  const result = spawnSync(name, args, { cwd, env, shell, encoding: "utf8", maxBuffer: 64 * 1024 * 1024 });
  if (result.error) throw result.error;
  check(result.status === 0, `${[name, ...args].join(" ")} failed:\n${result.stdout}${result.stderr}`);
  return result.stdout;
}

/** @param {string} directory */
export function readManifest(directory) {
  return JSON.parse(readFileSync(path.join(directory, "package.json"), "utf8"));
}

/**
 * @param {boolean} condition
 * @param {string} message
 */
export function check(condition, message) {
  if (!condition) throw new Error(message);
}
