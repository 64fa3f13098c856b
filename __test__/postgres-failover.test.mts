/** A standby that takes over: a driver that names both servers goes on, and nothing that was acknowledged is lost. */
import assert from "node:assert/strict";
import { describe, test, type TestContext } from "node:test";
import { setTimeout as delay } from "node:timers/promises";

import { PostgresSessionPersistDriver } from "../index.js";
import { startLoad } from "./support/postgres/load.mts";
import { query, startServer, type TestServer } from "./support/postgres/server.mts";
import { type Standby, startStandby } from "./support/postgres/standby.mts";
import { allEvents, eventAt, sessionOf } from "./support/records.mts";

function open(t: TestContext, connectionString: string, options = {}): PostgresSessionPersistDriver {
  const driver = new PostgresSessionPersistDriver({ connectionString, ...options });
  t.after(() => driver.close());
  return driver;
}

/** A URL with both, of which the one that can be written to is wanted. */
function both(first: TestServer, second: TestServer, parameters = "target_session_attrs=read-write"): string {
  const { user, password, database } = first;
  const hosts = [first, second].map(({ host, port }) => `${host}:${port}`).join(",");
  return `postgresql://${user}:${password}@${hosts}/${database}?${parameters}`;
}

async function pair(t: TestContext, synchronous: boolean): Promise<{ primary: TestServer; standby: Standby }> {
  const primary = await startServer();
  t.after(primary.cleanup);
  const standby = await startStandby(primary, { synchronous });
  t.after(standby.cleanup);
  return { primary, standby };
}

for (const end of ["SIGKILL", "SIGQUIT", "SIGINT"] as const) {
  test(`the primary is ended by ${end} under load and its synchronous standby promoted`, async (t) => {
    const { primary, standby } = await pair(t, true);
    // In both orders: the standby must also be passed over while it is one.
    const loads = [
      await startLoad(t, { connectionString: both(primary, standby), schema: "one" }),
      await startLoad(t, { connectionString: both(standby, primary, "target_session_attrs=primary"), schema: "two" }),
    ];
    await Promise.all(loads.map((load) => load.progress(50)));
    await primary.kill(end);
    await standby.promote();
    await Promise.all(loads.map((load) => load.progress(50)));
    await Promise.all(loads.map((load) => load.stop()));
    await loads[0].check(`${standby.url}?options=-csearch_path%3Done`);
    await loads[1].check(`${standby.url}?options=-csearch_path%3Dtwo`);
  });
}

/** The backends of drivers that wait for a synchronous standby. */
async function waiting(primary: TestServer): Promise<number[]> {
  const sql =
    "SELECT pid FROM pg_stat_activity WHERE application_name = 'sandbox-agent-persist' AND wait_event = 'SyncRep'";
  return (await query(primary.url, sql)).map(({ pid }) => pid);
}

describe("a synchronous standby that is away", { concurrency: true }, () => {
  for (const commit of ["on", "remote_apply"]) {
    test(`with synchronous_commit = ${commit} no write resolves, and what resolves later outlives the primary`, async (t) => {
      const { primary, standby } = await pair(t, true);
      const url = `${both(primary, standby)}&options=-csynchronous_commit%3D${commit}`;
      const [driver, patient] = [open(t, url, { queryTimeoutMs: 2_000 }), open(t, url)];
      await Promise.all([driver.ready(), patient.ready()]);
      await standby.stop("fast");
      const record = sessionOf("a", { agent: "new" });
      const write = (driver: PostgresSessionPersistDriver) => [
        driver.insertEvent("a", eventAt("a", 1)),
        driver.insertEvent("a", eventAt("a", 2)),
        driver.insertEvent("b", eventAt("b", 1)),
        driver.updateSession(record),
        driver.updateSession(sessionOf("c")),
      ];
      const outcomes = async () =>
        (await Promise.allSettled(write(driver))).map((one) =>
          one.status === "rejected" ? one.reason.code : "resolved",
        );
      const timeouts = Array.from({ length: 5 }, () => "ERR_PERSIST_TIMEOUT");
      assert.deepEqual(await outcomes(), timeouts);
      // The server has committed all by itself. When it is written again it is found, and that is no better.
      assert.deepEqual(await allEvents(driver, "b"), [eventAt("b", 1)]);
      assert.deepEqual(await outcomes(), timeouts);

      await standby.start();
      await Promise.all(write(patient));
      await primary.kill("SIGKILL");
      await standby.promote();
      const stored = await query(standby.url, "SELECT id FROM events ORDER BY session_id, event_index");
      assert.deepEqual(
        stored.map(({ id }) => id),
        ["a-1", "a-2", "b-1"],
      );
      assert.deepEqual((await patient.listSessions()).items, [record, sessionOf("c")]);
    });
  }

  test("a write whose wait is cancelled on the server goes on waiting, and resolves when the standby is back", async (t) => {
    const { primary, standby } = await pair(t, true);
    const driver = open(t, both(primary, standby), { queryTimeoutMs: 60_000 });
    await driver.ready();
    await standby.stop("fast");
    let resolved = 0;
    const writes = [
      driver.insertEvent("a", eventAt("a", 1)),
      driver.updateSession(sessionOf("b")),
      // In one transaction with its record.
      driver.insertEvent("c", eventAt("c", 1)),
      driver.updateSession(sessionOf("c")),
    ].map((write) => write.then(() => (resolved += 1)));
    const cancelled = new Set<number>();
    while (cancelled.size < 4) {
      for (const backend of await waiting(primary)) {
        cancelled.add(backend);
        await query(primary.url, "SELECT pg_cancel_backend($1)", [backend]);
      }
      assert.equal(resolved, 0);
      await delay(10);
    }
    await standby.start();
    await Promise.all(writes);
    await primary.kill("SIGKILL");
    await standby.promote();
    assert.deepEqual(await allEvents(driver, "a"), [eventAt("a", 1)]);
    assert.deepEqual(await allEvents(driver, "c"), [eventAt("c", 1)]);
    assert.deepEqual((await driver.listSessions()).items, [sessionOf("b"), sessionOf("c")]);
  });
});

test("of several servers one that takes writes is read, unless the connection string says otherwise", async (t) => {
  const { primary, standby } = await pair(t, false);
  await open(t, primary.url).ready();
  await standby.catchUp();
  // From now on the standby is out of date.
  await query(standby.url, "SELECT pg_wal_replay_pause()");
  const urls = [
    both(standby, primary, ""),
    // Each connection goes to another one.
    ...Array.from({ length: 8 }, () => both(standby, primary, "load_balance_hosts=random")),
  ];
  for (const [number, url] of urls.entries()) {
    const driver = open(t, url);
    const session = `s-${number}`;
    await driver.insertEvent(session, eventAt(session, 1));
    assert.deepEqual(await allEvents(driver, session), [eventAt(session, 1)], url.slice(url.indexOf("?")));
  }
  const reader = open(t, both(standby, primary, "target_session_attrs=any"));
  assert.deepEqual(await allEvents(reader, "s-0"), [], "the standby was asked for");
});

test("while the primary is away nobody reads from the standby, and the first read of when it is back is up to date", async (t) => {
  const { primary, standby } = await pair(t, false);
  const writer = open(t, primary.url);
  await writer.ready();
  await standby.catchUp();
  await query(standby.url, "SELECT pg_wal_replay_pause()");
  await primary.stop("fast");
  const [early, patient] = [
    open(t, both(primary, standby, ""), { queryTimeoutMs: 2_000 }),
    open(t, both(primary, standby, "")),
  ];
  await assert.rejects(early.getSession("s"), { code: "ERR_PERSIST_UNAVAILABLE" });
  const read = patient.listSessions();
  await primary.start();
  assert.deepEqual(await read, { items: [] });
  await writer.updateSession(sessionOf("s"));
  assert.deepEqual(await early.getSession("s"), sessionOf("s"));
  assert.deepEqual(await patient.getSession("s"), sessionOf("s"));
});

test("a primary that becomes read-only is left for the server that takes writes", async (t) => {
  const { primary, standby } = await pair(t, false);
  const load = await startLoad(t, { connectionString: both(primary, standby) });
  const driver = open(t, both(primary, standby));
  await load.progress(50);
  await driver.insertEvent("s", eventAt("s", 1));

  await query(primary.url, "ALTER SYSTEM SET default_transaction_read_only = on");
  await query(primary.url, "SELECT pg_reload_conf()");
  // A new connection is born with it when the others have been told. Who had begun before may still come to an end.
  while ((await query(primary.url, "SHOW transaction_read_only"))[0].transaction_read_only !== "on") await delay(10);
  const [{ now }] = await query(primary.url, "SELECT clock_timestamp()::text AS now");
  const early = "SELECT FROM pg_stat_activity WHERE application_name = 'sandbox-agent-persist' AND xact_start < $1";
  while ((await query(primary.url, early, [now])).length > 0) await delay(10);
  await standby.catchUp();
  await standby.promote();

  await driver.insertEvent("s", eventAt("s", 2));
  await driver.updateSession(sessionOf("s"));
  await load.progress(50);
  await load.stop();
  await load.check(standby.url);
  const events = await query(standby.url, "SELECT id FROM events WHERE session_id = 's' ORDER BY event_index");
  assert.deepEqual(events, [{ id: "s-1" }, { id: "s-2" }]);
});

test("a server that can only be read, and no other, is ERR_PERSIST_READONLY for writes, and is read", async (t) => {
  const { primary, standby } = await pair(t, false);
  const writer = open(t, primary.url);
  await writer.insertEvent("s", eventAt("s", 1));
  await writer.updateSession(sessionOf("s"));
  await standby.catchUp();

  const driver = open(t, standby.url);
  await driver.ready();
  assert.deepEqual(await allEvents(driver, "s"), [eventAt("s", 1)]);
  assert.deepEqual(await driver.getSession("s"), sessionOf("s"));
  const readonly = { name: "Error", code: "ERR_PERSIST_READONLY", sqlState: "25006", message: /target_session_attrs/ };
  const writes = [driver.insertEvent("s", eventAt("s", 2)), driver.updateSession(sessionOf("s", { agent: "other" }))];
  await Promise.all(writes.map((write) => assert.rejects(write, readonly)));
  // Where there are no tables, none can be made.
  await assert.rejects(open(t, standby.url, { schema: "other" }).ready(), readonly);

  const unfit = open(t, `${standby.url}?target_session_attrs=read-write`, { queryTimeoutMs: 2_000 });
  await assert.rejects(unfit.insertEvent("s", eventAt("s", 2)), {
    code: "ERR_PERSIST_UNAVAILABLE",
    message: /only be read.*target_session_attrs=any/,
  });

  await primary.stop("immediate");
  await standby.promote();
  await Promise.all([driver, unfit].map((one) => one.insertEvent("s", eventAt("s", 2))));
  assert.deepEqual(await allEvents(driver, "s"), [eventAt("s", 1), eventAt("s", 2)]);
});
