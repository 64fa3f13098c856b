/** What a store is called on the channels, runtimes that lack parts of diagnostics_channel, and that nothing is said but there. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import diagnostics from "node:diagnostics_channel";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { after, describe, test, type TestContext } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import vm from "node:vm";

import { PostgresSessionPersistDriver, SQLiteSessionPersistDriver, type TracedCall } from "../index.js";
import { directory } from "./support/directory.mts";
import { trigger } from "./support/postgres/layouts.mts";
import { makeSchema } from "./support/postgres/schema.mts";
import { query, startServer } from "./support/postgres/server.mts";
import { program } from "./support/programs.mts";
import { asOwner } from "./support/sqlite/layouts.mts";
import { readyFile } from "./support/sqlite/refusals.mts";
import type { Storage } from "./support/storage.mts";

const INDEX = fileURLToPath(new URL("../index.js", import.meta.url));

/** What is sent on a channel from now on. */
function sent(t: TestContext, channel: string): unknown[] {
  const messages: unknown[] = [];
  const keep = (message: unknown) => messages.push(message);
  diagnostics.subscribe(channel, keep);
  t.after(() => diagnostics.unsubscribe(channel, keep));
  return messages;
}

describe("what a store is called", () => {
  /** What a call tells of its store, which need not be there. */
  async function told(t: TestContext, driver: SQLiteSessionPersistDriver | PostgresSessionPersistDriver) {
    t.after(() => driver.close());
    const starts = sent(t, "tracing:sandbox-agent-persist:getSession:start") as TracedCall[];
    await assert.rejects(driver.getSession(1 as never), TypeError);
    const { method, error, ...store } = starts.at(-1)!;
    return store;
  }

  test("SQLite: the file's absolute path, or that it is in memory", async (t) => {
    const filename = join(directory(t), "watched.db");
    const file = await told(t, new SQLiteSessionPersistDriver({ filename }));
    assert.deepEqual(file, { system: "sqlite", namespace: filename });
    const memory = await told(t, new SQLiteSessionPersistDriver());
    assert.deepEqual(memory, { system: "sqlite", namespace: ":memory:" });
  });

  test("Postgres: the database and schema, and the servers as they were configured, without user and password", async (t) => {
    const open = (connectionString: string) => new PostgresSessionPersistDriver({ connectionString, schema: "agents" });
    const one = await told(t, open("postgres://user:Tr0ub4dor@127.0.0.1:1/app"));
    assert.deepEqual(one, {
      system: "postgresql",
      namespace: "app|agents",
      serverAddress: "127.0.0.1",
      serverPort: 1,
    });
    const several = await told(t, open("postgres://user:Tr0ub4dor@127.0.0.1:1,[::1]:2/app"));
    assert.deepEqual(several, { system: "postgresql", namespace: "app|agents", serverAddress: "127.0.0.1:1,[::1]:2" });
    // What stands for the user here may be the password.
    const userless = await told(t, open("postgres://Tr0ub4dor@127.0.0.1:1"));
    assert.equal(userless.namespace, "agents");
  });
});

describe("with nobody listening, nothing is printed of warnings, conflicts and refusals", async () => {
  const server = await startServer();
  after(server.cleanup);
  const stores: Record<string, (t: TestContext) => Promise<Storage>> = {
    SQLite: async (t) => {
      const filename = join(directory(t), "kept.db");
      await readyFile(filename);
      asOwner(filename, (database) =>
        database.exec("CREATE TRIGGER keep BEFORE DELETE ON events BEGIN SELECT RAISE(IGNORE); END"),
      );
      return { driver: "SQLite", options: { filename } };
    },
    Postgres: async () => {
      const options = { connectionString: server.url, schema: await makeSchema(server.url) };
      await using driver = new PostgresSessionPersistDriver(options);
      await driver.ready();
      const sql = trigger("keep", "BEFORE DELETE ON events", "RETURN NULL;");
      await query(server.url, `SET search_path = ${options.schema}; ${sql}`);
      return { driver: "Postgres", options };
    },
  };
  for (const [name, makeStore] of Object.entries(stores)) {
    test(name, async (t) => {
      const { path, execArgv } = program("meet-trouble.mts");
      const storage = JSON.stringify(await makeStore(t));
      const { stdout, stderr } = await promisify(execFile)(process.execPath, [...execArgv, path, storage]);
      assert.deepEqual({ stdout, stderr }, { stdout: "", stderr: "" });
    });
  }
});

describe("a runtime that lacks", () => {
  /** The package, as a runtime loads it whose `diagnostics_channel` has this. */
  function loadedWith(channels: object): typeof import("../index.js") {
    const require = createRequire(INDEX);
    const lacking = (name: string) => (name === "node:diagnostics_channel" ? channels : require(name));
    const module = { exports: {} as typeof import("../index.js") };
    vm.runInThisContext(`(module, exports, require) => {${readFileSync(INDEX, "utf8")}\n}`)(
      module,
      module.exports,
      lacking,
    );
    return module.exports;
  }

  test("TracingChannels still loads the package, and tells of calls", async (t) => {
    const { SQLiteSessionPersistDriver } = loadedWith({ channel: diagnostics.channel });
    await using driver = new SQLiteSessionPersistDriver();
    const ends = sent(t, "tracing:sandbox-agent-persist:getSession:asyncEnd");
    await driver.getSession("s");
    assert.equal(ends.length, 1);
  });

  test("stores that are bound tells of calls without them", async () => {
    const published: string[] = [];
    const channel = (name: string) => ({
      hasSubscribers: true,
      publish: () => published.push(name.split(":").at(-1)!),
    });
    const { SQLiteSessionPersistDriver } = loadedWith({ channel });
    await using driver = new SQLiteSessionPersistDriver();
    await driver.getSession("s");
    assert.deepEqual(published, ["start", "end", "asyncStart", "asyncEnd"]);
  });
});
