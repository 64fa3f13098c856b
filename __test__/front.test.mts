/** The front of the package as JavaScript: what it exports, its classes, its realm, and how it finds the addon. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { copyFileSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { type TestContext, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import vm from "node:vm";

import { PostgresSessionPersistDriver, SQLiteSessionPersistDriver } from "../index.js";
import { addon, platform } from "../scripts/addon.mjs";
import { eventAt } from "./support/records.mts";
import { directory } from "./support/directory.mts";

const INDEX = fileURLToPath(new URL("../index.js", import.meta.url));
const METHODS = [
  "check",
  "close",
  "compactSession",
  "compactSessions",
  "deleteSession",
  "flush",
  "forkSession",
  "getLabels",
  "getSession",
  "insertEvent",
  "listEvents",
  "listSessions",
  "pruneSessions",
  "ready",
  "rebuild",
  "setLabels",
  "stats",
  "tailEvents",
  "updateSession",
  "vacuum",
] as const;

describe("the classes", () => {
  test("nothing else is exported", () => {
    assert.deepEqual(Object.keys(createRequire(import.meta.url)("../index.js")).sort(), [
      "PostgresSessionPersistDriver",
      "SQLiteSessionPersistDriver",
      "copySessions",
    ]);
  });

  for (const Driver of [SQLiteSessionPersistDriver, PostgresSessionPersistDriver]) {
    test(`${Driver.name} has the public methods, and no other`, () => {
      const operated = Object.getPrototypeOf(Driver.prototype);
      const methods = [operated, Object.getPrototypeOf(operated)].flatMap(Object.getOwnPropertyNames);
      assert.deepEqual(methods.filter((name) => name !== "constructor").sort(), [...METHODS]);
      // What the tools of Postgres do there.
      const own = Driver === SQLiteSessionPersistDriver ? ["backup", "constructor"] : ["constructor"];
      assert.deepEqual(Object.getOwnPropertyNames(Driver.prototype).sort(), own);
      assert.deepEqual(Object.getOwnPropertyNames(Driver).sort(), ["length", "name", "prototype"]);
    });

    test(`${Driver.name} without new throws, and leaves nothing behind`, () => {
      const globals = Object.getOwnPropertyNames(globalThis);
      assert.throws(() => (Driver as unknown as () => void)(), {
        name: "TypeError",
        code: "ERR_PERSIST_INVALID_ARGUMENT",
        message: `${Driver.name} was called without new: write new ${Driver.name}(options)`,
      });
      assert.deepEqual(Object.getOwnPropertyNames(globalThis), globals);
    });
  }

  test("a subclass is one of them, and may call what it overrides", async () => {
    class Counting extends SQLiteSessionPersistDriver {
      inserted = 0;
      override async insertEvent(...given: Parameters<SQLiteSessionPersistDriver["insertEvent"]>): Promise<void> {
        await super.insertEvent(...given);
        this.inserted += 1;
      }
    }
    await using driver = new Counting();
    assert.ok(driver instanceof Counting && driver instanceof SQLiteSessionPersistDriver);
    await using plain = new SQLiteSessionPersistDriver();
    assert.equal(plain.constructor, SQLiteSessionPersistDriver);
    await driver.insertEvent("s", eventAt("s", 1));
    assert.equal(driver.inserted, 1);
    assert.equal((await driver.listEvents({ sessionId: "s" })).items.length, 1);
  });

  test("a method that is called without its driver, or through a Proxy, rejects", async (t) => {
    const driver = new SQLiteSessionPersistDriver();
    t.after(() => driver.close());
    const wrongs: [string, unknown][] = [
      ["nothing", undefined],
      ["a Proxy", new Proxy(driver, {})],
      ["an object made of it", Object.create(driver)],
      ["another object", {}],
      ["a number", 1],
    ];
    for (const [what, wrong] of wrongs) {
      for (const name of METHODS) {
        const called = Reflect.apply(driver[name] as () => unknown, wrong, []);
        await assert.rejects(
          name === "tailEvents" ? (called as AsyncIterator<unknown>).next() : (called as Promise<unknown>),
          {
            name: "TypeError",
            code: "ERR_PERSIST_INVALID_ARGUMENT",
            message: new RegExp(`^${name} was called without`),
          },
          `${name} of ${what}`,
        );
      }
      const disposed = Reflect.apply(driver[Symbol.asyncDispose], wrong, []);
      await assert.rejects(disposed, { name: "TypeError", code: "ERR_PERSIST_INVALID_ARGUMENT" }, what);
    }
  });
});

describe("a realm of its own, as test runners give each test file one", () => {
  test("has the errors and values that it knows", async () => {
    const context = vm.createContext({ process, setTimeout, clearTimeout, setImmediate, performance });
    const wrapped = vm.runInContext(`(module, exports, require) => {${readFileSync(INDEX, "utf8")}\n}`, context);
    const module = { exports: {} as typeof import("../index.js") };
    wrapped(module, module.exports, createRequire(INDEX));
    const inside = vm.runInContext("({ TypeError, Error, Object, Array })", context);
    const driver = new module.exports.SQLiteSessionPersistDriver();
    await driver.insertEvent("s", eventAt("s", 1));
    const refused = await driver.getSession(1 as never).catch((error: unknown) => error);
    assert.ok(refused instanceof inside.TypeError && !(refused instanceof TypeError));
    const page = await driver.listEvents({ sessionId: "s" });
    assert.ok(page instanceof inside.Object && page.items instanceof inside.Array);
    await driver.close();
    const closed = await driver.getSession("s").catch((error: unknown) => error);
    assert.ok(closed instanceof inside.Error && !(closed instanceof Error));
    assert.throws(
      () => new module.exports.SQLiteSessionPersistDriver({ filename: 1 as never }),
      (error) => error instanceof inside.TypeError,
    );
  });
});

describe("the addon", () => {
  /** A folder with index.js alone. */
  function installed(t: TestContext): string {
    const folder = directory(t);
    copyFileSync(INDEX, join(folder, "index.js"));
    return folder;
  }

  /** The error of a program that loads it, after `before`. */
  async function failure(folder: string, before = "", options: string[] = []): Promise<string> {
    const program = `${before}; try { require("./index.js") } catch (error) { console.log(error.code + ": " + error.message) }`;
    const { stdout, stderr } = await promisify(execFile)(process.execPath, [...options, "-e", program], {
      cwd: folder,
    });
    // What Node itself warns of.
    assert.doesNotMatch(stderr, /sandbox-agent-persist/);
    return stdout;
  }

  const platforms = readdirSync(new URL("../npm", import.meta.url));

  function assertNamesAll(message: string): void {
    for (const name of platforms) assert.ok(message.includes(name), `${message} names ${name}`);
    assert.ok(message.includes(`Node ${process.versions.node}`));
    assert.doesNotMatch(message, /bug|wasm/i);
  }

  test("that is not installed is an error that says for what, and what to do", async (t) => {
    const message = await failure(installed(t));
    assert.match(message, /^ERR_PERSIST_NO_BINARY: .* is not installed for /);
    assert.match(message, new RegExp(`${process.platform} ${process.arch}`));
    if (process.platform === "linux") assert.match(message, /glibc \d|musl/);
    assert.match(message, /--omit=optional/);
    assert.ok(message.includes(`sandbox-agent-persist-${platform}`));
    assertNamesAll(message);
  });

  test("that there is none of is an error that says what there is", async (t) => {
    const message = await failure(installed(t), `Object.defineProperty(process, "platform", { value: "aix" })`);
    assert.match(message, /^ERR_PERSIST_NO_BINARY: sandbox-agent-persist has no binary for this machine: aix /);
    assertNamesAll(message);
  });

  test("that cannot be loaded is an error with the reason", async (t) => {
    const folder = installed(t);
    writeFileSync(join(folder, `sandbox-agent-persist.${platform}.node`), "no binary");
    const message = await failure(folder);
    assert.match(message, /^ERR_PERSIST_NO_BINARY: .* could not be loaded on .*sandbox-agent-persist\.\S+\.node: /);
  });

  test("of another version is refused, and one of this version loaded", async (t) => {
    const folder = installed(t);
    const name = `sandbox-agent-persist-${platform}`;
    const packageFolder = join(folder, "node_modules", name);
    mkdirSync(packageFolder, { recursive: true });
    copyFileSync(addon, join(packageFolder, "addon.node"));
    const manifest = (version: string) =>
      writeFileSync(join(packageFolder, "package.json"), JSON.stringify({ name, version, main: "addon.node" }));
    manifest("99.0.0");
    assert.match(await failure(folder), /^ERR_PERSIST_NO_BINARY: .*it has version 99\.0\.0/);
    manifest(JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8")).version);
    assert.equal(await failure(folder), "");
  });

  test("that NAPI_RS_NATIVE_LIBRARY_PATH names is an error when it cannot be loaded, or is another", async (t) => {
    const folder = installed(t);
    const other = join(folder, "other.cjs");
    writeFileSync(other, "");
    for (const [file, reason] of [
      [join(folder, "missing.node"), "Cannot find module"],
      [other, "it is not the native part of sandbox-agent-persist"],
    ] as const) {
      const message = await failure(folder, `process.env.NAPI_RS_NATIVE_LIBRARY_PATH = ${JSON.stringify(file)}`);
      assert.ok(message.startsWith("ERR_PERSIST_NO_BINARY: "), message);
      for (const part of [file, reason, "NAPI_RS_NATIVE_LIBRARY_PATH"]) assert.ok(message.includes(part), message);
    }
  });

  test("under --permission without --allow-addons says which option is missing", async (t) => {
    const folder = installed(t);
    copyFileSync(addon, join(folder, `sandbox-agent-persist.${platform}.node`));
    const major = Number(process.versions.node.split(".")[0]);
    const permission = major < 23 ? "--experimental-permission" : "--permission";
    const message = await failure(folder, "", [permission, "--allow-fs-read=*"]);
    assert.match(message, /^ERR_PERSIST_NO_BINARY: .* disabled\. Run Node with --allow-addons/);
    assert.equal(await failure(folder, "", [permission, "--allow-fs-read=*", "--allow-addons"]), "");
  });
});
