#!/usr/bin/env node
// Made of lib/ by `npm run build:front`: change that, not this.

"use strict";
var __create = Object.create;
var __defProp = Object.defineProperty;
var __getOwnPropDesc = Object.getOwnPropertyDescriptor;
var __getOwnPropNames = Object.getOwnPropertyNames;
var __getProtoOf = Object.getPrototypeOf;
var __hasOwnProp = Object.prototype.hasOwnProperty;
var __esm = (fn, res, err) => function __init() {
  if (err) throw err[0];
  try {
    return fn && (res = (0, fn[__getOwnPropNames(fn)[0]])(fn = 0)), res;
  } catch (e) {
    throw err = [e], e;
  }
};
var __export = (target, all) => {
  for (var name in all)
    __defProp(target, name, { get: all[name], enumerable: true });
};
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
var define_PLATFORMS_default;
var init_define_PLATFORMS = __esm({
  "<define:PLATFORMS>"() {
    define_PLATFORMS_default = ["linux-x64-gnu", "linux-arm64-gnu", "linux-x64-musl", "linux-arm64-musl", "darwin-x64", "darwin-arm64", "win32-x64-msvc"];
  }
});

// lib/channels.ts
function point(name) {
  return import_node_diagnostics_channel.default.channel(`${NAME}:${name}`);
}
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
var import_node_diagnostics_channel, NAME, assign, points, tracing;
var init_channels = __esm({
  "lib/channels.ts"() {
    "use strict";
    init_define_PLATFORMS();
    import_node_diagnostics_channel = __toESM(require("node:diagnostics_channel"));
    NAME = "sandbox-agent-persist";
    ({ assign } = Object);
    points = {
      commit: point("commit"),
      reassigned: point("reassigned"),
      retry: point("retry"),
      reconnected: point("reconnected"),
      slow: point("slow"),
      warning: point("warning")
    };
    tracing = {
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
  }
});

// lib/password.ts
var init_password = __esm({
  "lib/password.ts"() {
    "use strict";
    init_define_PLATFORMS();
  }
});

// lib/realm.ts
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
var import_node_timers, stringify, parse, setImmediate, defineProperty, entries, OwnError, OwnTypeError;
var init_realm = __esm({
  "lib/realm.ts"() {
    "use strict";
    init_define_PLATFORMS();
    import_node_timers = __toESM(require("node:timers"));
    init_channels();
    init_password();
    ({ stringify, parse } = JSON);
    ({ setImmediate } = import_node_timers.default);
    ({ defineProperty, entries } = Object);
    OwnError = Error;
    OwnTypeError = TypeError;
  }
});

// lib/native.ts
var native_exports = {};
__export(native_exports, {
  CommandLine: () => CommandLine,
  Copying: () => Copying,
  Driver: () => Driver
});
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
  return (error instanceof Error ? error.message : String(error)).split("\n", 1).join().replace(/\.$/, "");
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
var NAME2, fitting, CommandLine, Copying, Driver;
var init_native = __esm({
  "lib/native.ts"() {
    "use strict";
    init_define_PLATFORMS();
    init_realm();
    NAME2 = "sandbox-agent-persist";
    fitting = define_PLATFORMS_default.filter((platform) => `${platform}-`.startsWith(`${process.platform}-${process.arch}-`));
    ({ CommandLine, Copying, Driver } = load());
  }
});

// lib/cli.ts
init_define_PLATFORMS();
var import_node_tty = require("node:tty");
var terminals = [0, 1, 2].filter((descriptor) => (0, import_node_tty.isatty)(descriptor));
function end(code, exit) {
  if (terminals.every((descriptor) => (0, import_node_tty.isatty)(descriptor))) return exit(code);
  process.removeAllListeners("SIGHUP");
  process.kill(process.pid, "SIGHUP");
}
function run({ CommandLine: CommandLine2 }) {
  const commandLine = new CommandLine2();
  for (const [signal, code] of [
    ["SIGINT", 130],
    ["SIGTERM", 143],
    ["SIGHUP", 129]
  ]) {
    process.on(signal, () => {
      if (commandLine.stop(code)) end(code, process.exit);
    });
  }
  return commandLine.run(process.argv.slice(2));
}
Promise.resolve().then(() => (init_native(), native_exports)).then(run).then(
  (code) => {
    end(code, () => {
      process.exitCode = code;
    });
  },
  (error) => {
    process.stderr.write(`error: ${error instanceof Error ? error.message : String(error)}
`);
    process.exitCode = 1;
  }
);
