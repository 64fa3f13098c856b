/**
 * Bad input to the SQLite driver: every wrong value of every option is refused by the constructor, with its code and a
 * message that names it; the arguments of the methods; calls after `close`; the ways to import the class.
 */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { join } from "node:path";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

import { SQLiteSessionPersistDriver, type SQLiteSessionPersistDriverOptions } from "../index.js";
import { methodArguments } from "./suites/arguments.mts";
import { event, record, refused, thrown } from "./suites/arguments/refusals.mts";
import { NOT_OBJECTS, SECRET, shown } from "./suites/arguments/wrong-values.mts";
import { directory } from "./support/directory.mts";

methodArguments({
  construct: (options) => new SQLiteSessionPersistDriver(options),
  option: "filename",
  zero: true,
});

describe("options", () => {
  const wrong: [string, Record<string, unknown>, RegExp][] = [];
  const types: [keyof SQLiteSessionPersistDriverOptions, string, unknown[]][] = [
    ["filename", "a string", [null, 5, true, {}, [], () => SECRET, Symbol(SECRET), 5n, new URL("file:///a.db")]],
    ["durability", "a string", [null, 5, true, {}, [], () => SECRET, Symbol(SECRET), 5n]],
    ["busyTimeoutMs", "a number", [null, "5", true, {}, [5], () => 5, Symbol(SECRET), 5n]],
    ["readonly", "a boolean", [null, 0, 1, "true", {}, [], () => true, Symbol(SECRET), 5n]],
    ["migrate", "a boolean", [null, 0, 1, "false", {}, [], () => true, Symbol(SECRET), 5n]],
    ["tablePrefix", "a string", [null, 5, true, {}, [], () => SECRET, Symbol(SECRET), 5n]],
    ["checkpoints", "a string", [null, 5, true, {}, [], () => SECRET, Symbol(SECRET), 5n]],
    ["onEventIndexConflict", "a string", [null, 5, true, {}, [], () => SECRET, Symbol(SECRET), 5n]],
    ["maxEventsPerSession", "a number", [null, "5", true, {}, [5], () => 5, Symbol(SECRET), 5n]],
    ["maxSessions", "a number", [null, "5", true, {}, [5], () => 5, Symbol(SECRET), 5n]],
  ];
  for (const [name, type, values] of types) {
    for (const value of values) {
      const message = new RegExp(`^options\\.${name} must be ${type}, it is (null|an? \\w+)$`);
      wrong.push([`${name}: ${shown(value)}`, { [name]: value }, message]);
    }
  }
  const add = (name: keyof SQLiteSessionPersistDriverOptions, values: unknown[], message: RegExp) => {
    for (const value of values) wrong.push([`${name}: ${shown(value)}`, { [name]: value }, message]);
  };
  add(
    "filename",
    ["", "a\u0000b", "file:/no/such/directory/a.db", "file:///a.db?mode=ro"],
    /^options\.filename must be the path of a file/,
  );
  add("filename", ["/no/such/directory/\ud800.db"], /^options\.filename must be /);
  add("durability", ["", "FULL", "off", "full "], /^options\.durability must be "full" or "normal", it is "/);
  add(
    "checkpoints",
    ["", "Automatic", "none", "litestream"],
    /^options\.checkpoints must be "automatic" or "external", it is "/,
  );
  add(
    "onEventIndexConflict",
    ["", "Reject", "replace"],
    /^options\.onEventIndexConflict must be "reassign" or "reject"/,
  );
  add(
    "busyTimeoutMs",
    [-1, 0.5, NaN, Infinity, -Infinity, 2 ** 31, 1e300],
    /^options\.busyTimeoutMs must be a whole number of milliseconds from 0 to 2147483647, it is /,
  );
  for (const name of ["maxEventsPerSession", "maxSessions"] as const) {
    const message = new RegExp(`^options\\.${name} must be a whole number from 1 to 2147483647, it is `);
    add(name, [0, -1, 2.5, NaN, Infinity, -Infinity, 2 ** 31, 1e300], message);
  }
  add(
    "tablePrefix",
    ["1a", "a-b", "a b", 'a"b', "a.b", "ä_", "a\u0000", "sqlite_", "SQLite_x", "x".repeat(41)],
    /^options\.tablePrefix must be at most 40 letters, digits and underscores/,
  );
  wrong.push(["readonly in memory", { readonly: true }, /^options\.filename must be a file when `readonly` is true/]);
  wrong.push([
    "migrate: false in memory",
    { filename: ":memory:", migrate: false },
    /^options\.filename must be a file/,
  ]);

  for (const [what, options, message] of wrong) {
    test(`${what} is refused`, () => void thrown(() => new SQLiteSessionPersistDriver(options), message));
  }

  for (const [meant, names] of Object.entries({
    filename: ["file", "path", "dbPath", "database", "db", "fileName", "FILENAME", "filname"],
    durability: ["durable", "durabilty", "synchronous"],
    busyTimeoutMs: ["busyTimeout", "busy_timeout_ms", "busyTimeoutMillis"],
    readonly: ["readOnly", "read_only"],
    migrate: ["migrations", "autoMigrate"],
    tablePrefix: ["prefix", "table_prefix"],
    checkpoints: ["checkpoint", "autoCheckpoint", "walAutocheckpoint"],
    onEventIndexConflict: ["onConflict", "conflict"],
    "busyTimeoutMs or drainTimeoutMs": ["timeout", "timeoutMs"],
  })) {
    for (const name of names) {
      test(`${name}, which is no option, is refused, and ${meant} named`, () => {
        const message = new RegExp(`^options\\.${name} is not an option; use ${meant}$`);
        thrown(() => new SQLiteSessionPersistDriver({ [name]: SECRET }), message);
        // Also when it is undefined: the name is what is wrong.
        thrown(() => new SQLiteSessionPersistDriver({ [name]: undefined }), message);
      });
    }
  }

  for (const [name, meant] of [
    ["connectionString", "connectionString"],
    ["maxConnections", "maxConnections"],
    ["ssl", "ssl"],
    ["url", "connectionString"],
    ["poolSize", "maxConnections"],
  ]) {
    test(`${name} is refused as what the Postgres driver takes`, () => {
      const message = `^options\\.${name} is not an option of SQLiteSessionPersistDriver; .*${meant}.* PostgresSessionPersistDriver`;
      thrown(() => new SQLiteSessionPersistDriver({ [name!]: SECRET }), new RegExp(message));
    });
  }

  for (const name of ["colour", "verbose", "x", "", "constructor", "nativeBinding", "\ud800", "n".repeat(1 << 20)]) {
    test(`${JSON.stringify(name).slice(0, 30)}, which is near to nothing, is refused with the list of all options`, () => {
      const error = thrown(
        () => new SQLiteSessionPersistDriver({ [name]: SECRET }),
        /is not an option; the options are filename, durability, .*, drainTimeoutMs$/,
      );
      assert.ok(error.message.length < 1000, `it has ${error.message.length} characters`);
    });
  }

  for (const [what, options, kind] of NOT_OBJECTS) {
    if (options === undefined || options === null) continue;
    test(`options that are ${what} are refused`, () => {
      thrown(() => new SQLiteSessionPersistDriver(options as never), /^options must be an object, it is /, kind);
    });
  }

  test("a getter of an option that throws is named, with the very error as cause", () => {
    const own = new RangeError("the program's own");
    for (const name of ["filename", "busyTimeoutMs", "readonly"]) {
      const options = Object.defineProperty({}, name, { enumerable: true, get: () => { throw own; } }); // prettier-ignore
      const error = thrown(() => new SQLiteSessionPersistDriver(options), new RegExp(`${name} threw`));
      assert.equal(error.cause, own);
    }
  });

  test("options may be left out, be undefined, or be at their edges", async (t) => {
    const folder = directory(t);
    let files = 0;
    for (const options of [
      undefined,
      {},
      { filename: undefined, durability: undefined, busyTimeoutMs: undefined, readonly: undefined, migrate: undefined },
      { busyTimeoutMs: 0 },
      { busyTimeoutMs: 2 ** 31 - 1 },
      { maxEventsPerSession: undefined, maxSessions: undefined },
      { maxEventsPerSession: 1, maxSessions: 2 ** 31 - 1 },
      { durability: "normal", onEventIndexConflict: "reassign", tablePrefix: "" },
      { tablePrefix: "_x".repeat(20) },
      { filename: join(folder, `${files++}.db`), migrate: true, readonly: false },
      { filename: join(folder, `${files++} 'ä😀.db`), durability: "full", tablePrefix: "select" },
    ] satisfies (SQLiteSessionPersistDriverOptions | undefined)[]) {
      const driver = new SQLiteSessionPersistDriver(options);
      t.after(() => driver.close());
      await driver.insertEvent("s", event());
      assert.deepEqual(await driver.listEvents({ sessionId: "s" }), { items: [event()] });
      await driver.close();
    }
  });

  test("later changes of the options object change nothing", async (t) => {
    const options: SQLiteSessionPersistDriverOptions = { onEventIndexConflict: "reject" };
    const driver = new SQLiteSessionPersistDriver(options);
    t.after(() => driver.close());
    options.onEventIndexConflict = "reassign";
    await driver.insertEvent("s", event());
    await assert.rejects(driver.insertEvent("s", event({ id: "late" })), { code: "ERR_PERSIST_INDEX_CONFLICT" });
  });
});

describe("close", () => {
  const closed = { name: "Error", code: "ERR_PERSIST_CLOSED", message: /^the driver is closed/ };

  test("after it every call rejects, and close resolves again", async () => {
    const driver = new SQLiteSessionPersistDriver();
    await driver.insertEvent("s", event());
    await driver.close();
    const calls = {
      ready: () => driver.ready(),
      getSession: () => driver.getSession("s"),
      listSessions: () => driver.listSessions(),
      updateSession: () => driver.updateSession(record()),
      listEvents: () => driver.listEvents({ sessionId: "s" }),
      insertEvent: () => driver.insertEvent("s", event()),
    };
    for (const [name, call] of Object.entries(calls)) await assert.rejects(call(), closed, name);
    await driver.close();
    await driver[Symbol.asyncDispose]();
  });

  test("wrong arguments after it are refused without a throw", async () => {
    const driver = new SQLiteSessionPersistDriver();
    await driver.close();
    await refused(() => driver.getSession(5 as never), /^id must be a string/);
    await refused(() => driver.listSessions({ cursor: "garbage" }), /^the cursor/);
    await refused(() => driver.insertEvent("s", null as never), /^event must be an object/);
  });

  test("it may be called before anything else, and several times at once", async () => {
    const driver = new SQLiteSessionPersistDriver();
    await Promise.all([driver.close(), driver.close(), driver[Symbol.asyncDispose](), driver.close()]);
    await assert.rejects(driver.ready(), closed);
  });

  test("calls before it are finished, those while it waits are taken, those after it refused", async (t) => {
    const filename = join(directory(t), "a.db");
    const driver = new SQLiteSessionPersistDriver({ filename });
    const before = [1, 2, 3].map((eventIndex) => driver.insertEvent("s", event({ eventIndex, id: `e${eventIndex}` })));
    const closing = driver.close();
    await driver.insertEvent("s", event({ eventIndex: 4, id: "e4" }));
    await closing;
    await Promise.all(before);
    await assert.rejects(driver.insertEvent("s", event({ eventIndex: 5, id: "e5" })), closed);
    const again = new SQLiteSessionPersistDriver({ filename });
    t.after(() => again.close());
    const { items } = await again.listEvents({ sessionId: "s" });
    assert.deepEqual(items.map(({ eventIndex }) => eventIndex), [1, 2, 3, 4]); // prettier-ignore
  });

  test("await using closes the driver at the end of the block", async () => {
    let outside: SQLiteSessionPersistDriver;
    {
      await using persist = new SQLiteSessionPersistDriver();
      outside = persist;
      await persist.insertEvent("s", event());
    }
    await assert.rejects(outside.getSession("s"), closed);
  });

  test("asyncDispose is one method of the class, hidden from enumeration as the others are", () => {
    const { prototype } = SQLiteSessionPersistDriver;
    assert.equal(typeof prototype[Symbol.asyncDispose], "function");
    assert.deepEqual(Object.keys(prototype), []);
    assert.deepEqual(Object.keys(new SQLiteSessionPersistDriver()), []);
  });
});

describe("the package", () => {
  const use = `
    const driver = new SQLiteSessionPersistDriver();
    driver.listSessions().then((page) => console.log(SQLiteSessionPersistDriver.name, JSON.stringify(page)));
  `;
  const ways = {
    "import { } in ESM": ["module", `import { SQLiteSessionPersistDriver } from "sandbox-agent-persist"; ${use}`],
    "import default in ESM": ["module", `import all from "sandbox-agent-persist"; const { SQLiteSessionPersistDriver } = all; ${use}`], // prettier-ignore
    "import() in CommonJS": ["commonjs", `import("sandbox-agent-persist").then(({ SQLiteSessionPersistDriver }) => { ${use} })`], // prettier-ignore
    "require in CommonJS": ["commonjs", `const { SQLiteSessionPersistDriver } = require("sandbox-agent-persist"); ${use}`], // prettier-ignore
  } as const;
  for (const [way, [type, source]] of Object.entries(ways)) {
    // In a process of its own, as this one has a loader for TypeScript.
    test(`${way} gives the class`, async () => {
      const { stdout } = await promisify(execFile)(process.execPath, [`--input-type=${type}`, "-e", source], {
        cwd: fileURLToPath(new URL("..", import.meta.url)),
      });
      assert.equal(stdout, 'SQLiteSessionPersistDriver {"items":[]}\n');
    });
  }

  test("import and require give the same class", async () => {
    const source = `
      import { createRequire } from "node:module";
      import { SQLiteSessionPersistDriver } from "sandbox-agent-persist";
      const required = createRequire(import.meta.url)("sandbox-agent-persist");
      console.log(required.SQLiteSessionPersistDriver === SQLiteSessionPersistDriver);
    `;
    const { stdout } = await promisify(execFile)(process.execPath, ["--input-type=module", "-e", source], {
      cwd: fileURLToPath(new URL("..", import.meta.url)),
    });
    assert.equal(stdout, "true\n");
  });
});
