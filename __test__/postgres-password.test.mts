/**
 * A password of the caller's: fixed, or from a function that is asked for each new connection, as clouds give out tokens that
 * live for minutes. The servers log in by SCRAM; the password changes under a driver whose connections are ended.
 */
import assert from "node:assert/strict";
import { chmodSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, test, type TestContext } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { inspect } from "node:util";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { Worker } from "node:worker_threads";

import { PostgresSessionPersistDriver, type PostgresSessionPersistDriverOptions } from "../index.js";
import { assertHides, logIn, loginProcess, refused, uniqueName } from "./support/postgres/login.mts";
import { skipWithoutPgBouncer, startPgBouncer } from "./support/postgres/pgbouncer.mts";
import { startProxy } from "./support/postgres/proxy.mts";
import { query, startServer } from "./support/postgres/server.mts";
import { allEvents, eventAt } from "./support/records.mts";
import { directory } from "./support/directory.mts";
import { start } from "./support/process.mts";

type Password = PostgresSessionPersistDriverOptions["password"];

const server = await startServer({ hba: ["host all all 127.0.0.1/32 scram-sha-256"] });
after(server.cleanup);

const limit = { timeout: 120_000 };

let passwords = 0;
let schemas = 0;

/** A role whose password changes when a test says so. */
async function rotating() {
  const user = `rotating_${(passwords += 1)}`;
  const role = {
    user,
    url: Object.assign(new URL(server.url), { username: user, password: "" }).href,
    password: "",
    async rotate(): Promise<void> {
      role.password = `token-${(passwords += 1)}-Zq7!`;
      await query(server.url, `ALTER ROLE ${user} PASSWORD '${role.password}'`);
    },
  };
  await query(server.url, `CREATE ROLE ${user} SUPERUSER LOGIN`);
  await role.rotate();
  return role;
}

function opened(t: TestContext, options: PostgresSessionPersistDriverOptions) {
  const applicationName = uniqueName();
  const driver = new PostgresSessionPersistDriver({
    schema: `password_${(schemas += 1)}`,
    applicationName,
    ...options,
  });
  t.after(() => driver.close());
  const endConnections = () =>
    query(server.url, "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE application_name = $1", [
      applicationName,
    ]);
  return { driver, endConnections };
}

const WAYS: Record<string, (password: () => string) => Exclude<Password, string | undefined>> = {
  synchronously: (password) => () => password(),
  "by a promise": (password) => async () => {
    await delay(20);
    return password();
  },
};

for (const [way, ask] of Object.entries(WAYS)) {
  test(
    `a function that tells it ${way} is asked for each new connection, so that a password may change`,
    limit,
    async (t) => {
      const role = await rotating();
      const proxy = await startProxy(server);
      t.after(() => proxy.close());
      let asked = 0;
      const password = ask(() => {
        asked += 1;
        return role.password;
      });
      const { driver, endConnections } = opened(t, { connectionString: proxy.urlOf(role.url), password });
      let index = 0;
      for (let round = 0; round < 3; round += 1) {
        await Promise.all(Array.from({ length: 20 }, () => driver.insertEvent("s", eventAt("s", (index += 1)))));
        assert.equal((await allEvents(driver, "s")).length, index);
        assert.equal(asked, proxy.opened);
        assert.ok(asked > round);
        await role.rotate();
        await endConnections();
      }
    },
  );
}

test("it wins over the connection string, the environment and the password file", limit, async (t) => {
  const role = await rotating();
  const passfile = join(directory(t), "pgpass");
  writeFileSync(passfile, "*:*:*:*:wrong");
  chmodSync(passfile, 0o600);
  const wrong = Object.assign(new URL(role.url), { password: "wrong" }).href;
  for (const connectionString of [wrong, `${role.url}?passfile=${encodeURIComponent(passfile)}`]) {
    for (const password of [role.password, () => role.password, async () => role.password]) {
      assert.equal((await logIn(server, { connectionString, password })).user, role.user);
    }
    assert.equal((await refused(server, { connectionString })).sqlState, "28P01");
  }
  const child = loginProcess(t, server);
  const options = { connectionString: role.url, password: role.password };
  assert.equal((await child.logIn({ PGPASSWORD: "wrong" }, options)).user, role.user);
});

test("a function that fails rejects all that waited, with its error as cause, and is asked again", limit, async (t) => {
  const role = await rotating();
  const own = new RangeError("the program's own");
  const looped: { cause?: unknown } = new Error("its own cause");
  looped.cause = looped;
  const failures: [what: string, fail: () => unknown, cause: unknown][] = [
    ["throws", () => { throw own; }, own], // prettier-ignore
    ["rejects", async () => { await delay(5); throw own; }, own], // prettier-ignore
    ["rejects with its own cause", () => Promise.reject(looped), looped],
    ["throws a string", () => { throw "text"; }, "text"], // prettier-ignore
    ["throws null", () => { throw null; }, null], // prettier-ignore
    ["rejects with undefined", () => Promise.reject(), undefined],
    ["is a thenable that throws", () => ({ get then() { throw own; } }), own], // prettier-ignore
    ["returns a number", () => 5, /options\.password returned a value of type number, not a string/],
    ["returns nothing", () => undefined, /options\.password returned undefined, not a string/],
    ["resolves to null", async () => null, /options\.password returned null/],
    ["returns bytes", () => Buffer.from(role.password), /options\.password returned a value of type object/],
    ["returns a NUL", () => `${role.password}\0`, /NUL character or a lone surrogate/],
    ["returns a lone surrogate", () => `${role.password}\ud800`, /NUL character or a lone surrogate/],
  ];
  for (const [what, fail, cause] of failures) {
    let fails = true;
    let asked = 0;
    const password = () => {
      asked += 1;
      return (fails ? fail() : role.password) as string;
    };
    const { driver, endConnections } = opened(t, { connectionString: role.url, password });
    const rejected = async (calls: Promise<unknown>[]) => {
      for (const { status, reason } of (await Promise.allSettled(calls)) as PromiseRejectedResult[]) {
        assert.equal(status, "rejected", what);
        assert.ok(reason instanceof Error && (reason as { code?: string }).code === "ERR_PERSIST_UNAVAILABLE", what);
        assert.match(reason.message, /asking for the password failed \(see `cause`\); the next call asks again$/);
        assert.ok("cause" in reason, what);
        if (cause instanceof RegExp) assert.match(String(reason.cause), cause);
        else assert.equal(reason.cause, cause, what);
        assertHides(String(reason.cause), [role.password]);
      }
    };
    const calls = () => [driver.ready(), driver.getSession("s"), driver.insertEvent("s", eventAt("s", 1))];
    await rejected(calls());
    await rejected(calls());
    assert.ok(asked >= 2, what);
    fails = false;
    await driver.insertEvent("s", eventAt("s", 1));
    // Once more, when the tables are known to be ready.
    fails = true;
    await endConnections();
    await rejected([driver.insertEvent("s", eventAt("s", 2)), driver.getSession("s")]);
    fails = false;
    await driver.insertEvent("s", eventAt("s", 3));
    const stored = (await allEvents(driver, "s")).map(({ eventIndex }) => eventIndex);
    assert.deepEqual(stored, [1, 3], what);
  }
});

test(
  "the time that a function takes counts into connectTimeoutMs; one that never settles is given up",
  limit,
  async (t) => {
    const role = await rotating();
    let asked = 0;
    let late = true;
    const { driver } = opened(t, {
      connectionString: role.url,
      password: () => {
        asked += 1;
        return late ? new Promise<never>(() => {}) : role.password;
      },
      connectTimeoutMs: 500,
      queryTimeoutMs: 3_000,
    });
    const refusal = {
      code: "ERR_PERSIST_UNAVAILABLE",
      message: /asked for did not come within options\.connectTimeoutMs/,
    };
    await assert.rejects(driver.insertEvent("s", eventAt("s", 1)), refusal);
    assert.ok(asked > 1, "it was not asked again");
    // Also while a write goes on trying.
    const write = driver.insertEvent("s", eventAt("s", 2));
    late = false;
    await write;
  },
);

test("what a function failed with is let go of with the errors that have it as their cause", limit, async (t) => {
  const role = await rotating();
  const failures: WeakRef<Error>[] = [];
  const { driver } = opened(t, {
    connectionString: role.url,
    password: () => {
      const failure = new Error("it failed");
      failures.push(new WeakRef(failure));
      throw failure;
    },
  });
  for (let round = 0; round < 20; round += 1) {
    await assert.rejects(
      Promise.all([driver.ready(), driver.getSession("s"), driver.insertEvent("s", eventAt("s", 1))]),
    );
  }
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  const untilKept = async (count: number) => {
    while (failures.filter((failure) => failure.deref()).length > count) {
      await delay(5);
      collect();
    }
  };
  // Why the tables could not be made ready is kept until the next call.
  await untilKept(1);
  await driver.close();
  await untilKept(0);
  assert.ok(failures.length >= 20);
});

test("what a function tells is in no error, and in nothing that can be inspected", limit, async (t) => {
  const role = await rotating();
  const wrong = "Wr0ng#Kx9!vQ";
  for (const password of [wrong, () => wrong, async () => wrong]) {
    const { driver } = opened(t, { connectionString: role.url, password });
    await assert.rejects(driver.ready(), (error: Error) => {
      assert.equal((error as { sqlState?: string }).sqlState, "28P01");
      assertHides(error, [wrong, role.password]);
      return true;
    });
    assertHides(inspect(driver, { depth: null, showHidden: true }), [wrong]);
  }
});

test("the function keeps no process alive, and a call that waits for it does", limit, async (t) => {
  const role = await rotating();
  for (const [password, outcome] of [
    [role.password, "stored"],
    ["never", "ERR_PERSIST_UNAVAILABLE"],
  ]) {
    const schema = `password_${(schemas += 1)}`;
    const child = start(t, "postgres-password.mts", [role.url, schema, password]);
    assert.deepEqual(await child.ended, { code: 0, signal: null, stderr: "" });
    assert.deepEqual(child.rest(), ["the main program has ended", outcome]);
  }
});

test("a worker that ends while its function is asked takes nothing down", limit, async (t) => {
  const role = await rotating();
  const index = JSON.stringify(join(import.meta.dirname, "..", "index.js"));
  const code = `
    const { parentPort } = require("node:worker_threads");
    const { PostgresSessionPersistDriver } = require(${index});
    let asked = 0;
    for (let count = 0; count < 10; count += 1) {
      const driver = new PostgresSessionPersistDriver({
        connectionString: ${JSON.stringify(role.url)},
        password: () => {
          asked += 1;
          if (asked === 10) parentPort.postMessage("asked");
          return asked % 2 ? new Promise(() => {}) : Promise.reject(new Error("fails"));
        },
        queryTimeoutMs: 2000,
      });
      driver.ready().catch(() => driver.ready()).catch(() => {});
    }`;
  for (let round = 0; round < 5; round += 1) {
    const worker = new Worker(code, { eval: true });
    await new Promise((resolve, reject) => worker.once("message", resolve).once("error", reject));
    await worker.terminate();
  }
  // This thread's drivers go on.
  const { driver } = opened(t, { connectionString: role.url, password: () => role.password });
  await driver.ready();
});

test("through PgBouncer", { ...limit, skip: skipWithoutPgBouncer() }, async (t) => {
  const role = await rotating();
  const pgbouncer = await startPgBouncer(server, [`auth_user = ${server.user}`, "ignore_startup_parameters ="]);
  t.after(pgbouncer.cleanup);
  const { driver } = opened(t, { connectionString: pgbouncer.urlOf(role.url), password: async () => role.password });
  await driver.insertEvent("s", eventAt("s", 1));
  await role.rotate();
  await pgbouncer.kill();
  await pgbouncer.start();
  await driver.insertEvent("s", eventAt("s", 2));
  assert.equal((await allEvents(driver, "s")).length, 2);
});
