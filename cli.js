#!/usr/bin/env node
// Made of lib/ by `npm run build:front`: change that, not this.

"use strict";
var __create = Object.create;
var __defProp = Object.defineProperty;
var __getOwnPropDesc = Object.getOwnPropertyDescriptor;
var __getOwnPropNames = Object.getOwnPropertyNames;
var __getProtoOf = Object.getPrototypeOf;
var __hasOwnProp = Object.prototype.hasOwnProperty;
var __copyProps = (to, from, except, desc) => {
  if (from && typeof from === "object" || typeof from === "function") {
    for (let key of __getOwnPropNames(from))
      if (!__hasOwnProp.call(to, key) && key !== except)
        __defProp(to, key, { get: () => from[key], enumerable: !(desc = __getOwnPropDesc(from, key)) || desc.enumerable });
  }
  return to;
};
var __toESM = (mod, isNodeMode, target) => (target = mod != null ? __create(__getProtoOf(mod)) : {}, __copyProps(
  // If the importer is in node compatibility mode or this is not an ESM
  // file that has been converted to a CommonJS file using a Babel-
  // compatible transform (i.e. "__esModule" has not been set), then set
  // "default" to the CommonJS "module.exports" for node compatibility.
  isNodeMode || !mod || !mod.__esModule ? __defProp(target, "default", { value: mod, enumerable: true }) : target,
  mod
));

// <define:PLATFORMS>
var define_PLATFORMS_default = ["linux-x64-gnu", "linux-arm64-gnu", "linux-x64-musl", "linux-arm64-musl", "darwin-x64", "darwin-arm64", "win32-x64-msvc"];

// lib/realm.ts
var import_node_timers = __toESM(require("node:timers"));

// lib/channels.ts
var import_node_diagnostics_channel = __toESM(require("node:diagnostics_channel"));
var NAME = "sandbox-agent-persist";
var { assign } = Object;
var points = {
  commit: point("commit"),
  reassigned: point("reassigned"),
  retry: point("retry"),
  reconnected: point("reconnected"),
  slow: point("slow"),
  warning: point("warning")
};
function point(name) {
  return import_node_diagnostics_channel.default.channel(`${NAME}:${name}`);
}
var tracing = {
  backup: tracingOf("backup"),
  check: tracingOf("check"),
  close: tracingOf("close"),
  compactSession: tracingOf("compactSession"),
  compactSessions: tracingOf("compactSessions"),
  copySessions: tracingOf("copySessions"),
  deleteSession: tracingOf("deleteSession"),
  flush: tracingOf("flush"),
  forkSession: tracingOf("forkSession"),
  getLabels: tracingOf("getLabels"),
  getSession: tracingOf("getSession"),
  insertEvent: tracingOf("insertEvent"),
  listEvents: tracingOf("listEvents"),
  listSessions: tracingOf("listSessions"),
  pruneSessions: tracingOf("pruneSessions"),
  ready: tracingOf("ready"),
  rebuild: tracingOf("rebuild"),
  setLabels: tracingOf("setLabels"),
  stats: tracingOf("stats"),
  tailEvents: tracingOf("tailEvents"),
  updateSession: tracingOf("updateSession"),
  vacuum: tracingOf("vacuum")
};
function tracingOf(method) {
  const channel = (event) => import_node_diagnostics_channel.default.channel(`tracing:${NAME}:${method}:${event}`);
  return {
    start: channel("start"),
    end: channel("end"),
    asyncStart: channel("asyncStart"),
    asyncEnd: channel("asyncEnd"),
    error: channel("error")
  };
}

// lib/realm.ts
var { stringify, parse } = JSON;
var { setImmediate } = import_node_timers.default;
var { defineProperty, entries } = Object;
var OwnError = Error;
var OwnTypeError = TypeError;
function createError(code, message, details = {}) {
  const error = code === "ERR_PERSIST_INVALID_ARGUMENT" ? new OwnTypeError(message) : new OwnError(message);
  OwnError.captureStackTrace?.(error, createError);
  define(error, "code", code);
  for (const [name, value] of entries(details)) define(error, name, value);
  return error;
}
function define(error, name, value) {
  defineProperty(error, name, { value, writable: true, enumerable: true, configurable: true });
}

// lib/native.ts
var NAME2 = "sandbox-agent-persist";
var fitting = define_PLATFORMS_default.filter((platform) => `${platform}-`.startsWith(`${process.platform}-${process.arch}-`));
var { CommandLine, Copying, Driver } = load();
function load() {
  const given = process.env["NAPI_RS_NATIVE_LIBRARY_PATH"];
  if (given) return loadGiven(given);
  const problems = [];
  for (const platform of fitting) {
    const packageName = `${NAME2}-${platform}`;
    for (const file of [`./${NAME2}.${platform}.node`, packageName]) {
      try {
        const loaded = require(file);
        if (file === packageName) checkVersion(packageName);
        return loaded;
      } catch (error) {
        if (!isAbsent(error, file)) problems.push(`${file}: ${messageOf(error)}`);
      }
    }
  }
  throw createError("ERR_PERSIST_NO_BINARY", explain(problems));
}
function loadGiven(file) {
  try {
    const loaded = require(file);
    if (!loaded.Driver) throw new Error(`it is not the native part of ${NAME2}`);
    return loaded;
  } catch (error) {
    throw createError(
      "ERR_PERSIST_NO_BINARY",
      `${file} could not be loaded: ${messageOf(error)}. NAPI_RS_NATIVE_LIBRARY_PATH names it: correct or unset that variable`
    );
  }
}
function checkVersion(packageName) {
  const { version } = require(`${packageName}/package.json`);
  if (version !== "0.1.0") throw new Error(`it has version ${version}, and ${NAME2} has version ${"0.1.0"}`);
}
function messageOf(error) {
  return (error instanceof Error ? error.message : String(error)).split("\n", 1).join();
}
function isAbsent(error, file) {
  const { code, message = "" } = error;
  return code === "MODULE_NOT_FOUND" && message.includes(`'${file}'`);
}
function explain(problems) {
  const machine = `${process.platform} ${process.arch}${libc()}, Node ${process.versions.node}`;
  const binaries = `There are binaries for ${define_PLATFORMS_default.join(", ")}.`;
  if (problems.length > 0) {
    const advice = problems.some((problem) => problem.includes("loading addons is disabled")) ? "Run Node with --allow-addons beside --permission, and let it read node_modules and use the database's files." : `Remove node_modules and the lock file, and install ${NAME2} again; the system may also be too old for the binary (docs/runtimes.md).`;
    return `the native part of ${NAME2} could not be loaded on ${machine}: ${problems.join("; ")}. ${advice}`;
  }
  if (fitting.length === 0) {
    return `${NAME2} has no binary for this machine: ${machine}. ${binaries} For another, build it from source (CONTRIBUTING.md).`;
  }
  return `the native part of ${NAME2} is not installed for ${machine}. ${binaries} It is an optional dependency, ${fitting.map((platform) => `${NAME2}-${platform}`).join(" or ")}: install without --omit=optional (--no-optional), on the system that runs it; and do not let a bundler take it in (docs/bundlers.md).`;
}
function libc() {
  if (process.platform !== "linux") return "";
  try {
    Object.assign(process.report, { excludeNetwork: true });
    const { header } = process.report.getReport();
    return header.glibcVersionRuntime ? `, glibc ${header.glibcVersionRuntime}` : ", no glibc (musl)";
  } catch {
    return "";
  }
}

// lib/cli.ts
var commandLine = new CommandLine();
for (const [signal, code] of [
  ["SIGINT", 130],
  ["SIGTERM", 143],
  ["SIGHUP", 129]
]) {
  process.on(signal, () => {
    if (commandLine.stop(code)) process.exit(code);
  });
}
void commandLine.run(process.argv.slice(2)).then((code) => {
  process.exitCode = code;
});
