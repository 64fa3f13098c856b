/** Several processes on one database: no event is lost, no index is given twice, and nobody locks anybody out. */
import assert from "node:assert/strict";
import { after, test, type TestContext } from "node:test";

import { PostgresSessionPersistDriver } from "../index.js";
import { otherConnection } from "./support/postgres/other-connection.mts";
import { skipWithoutPgBouncer, startPgBouncer } from "./support/postgres/pgbouncer.mts";
import { query, startServer } from "./support/postgres/server.mts";
import type { Task } from "./support/programs/postgres-write-on-demand.mts";
import { allEvents, eventAt } from "./support/records.mts";
import { start, type Started } from "./support/process.mts";
import type { Report } from "./support/programs/write-on-demand.mts";

const server = await startServer();
after(server.cleanup);

const WRITERS = 4;

async function writers(t: TestContext, count = WRITERS): Promise<Started[]> {
  const started = Array.from({ length: count }, () => start(t, "postgres-write-on-demand.mts"));
  for (const writer of started) assert.equal(await writer.next(), "loaded");
  return started;
}

/** Gives each process its task at once, and waits for all their reports. */
function atOnce(processes: Started[], taskOf: (number: number) => Task): Promise<Report[]> {
  for (const [number, one] of processes.entries()) one.send(taskOf(number));
  return Promise.all(processes.map((one) => one.next<Report>()));
}

function open(t: TestContext, connectionString: string, options = {}): PostgresSessionPersistDriver {
  const driver = new PostgresSessionPersistDriver({ connectionString, ...options });
  t.after(() => driver.close());
  return driver;
}

interface Place {
  id: string;
  eventIndex: number;
}

const byIndex = (a: Place, b: Place) => a.eventIndex - b.eventIndex;

/** What is in the table, read by plain SQL. */
async function places(url: string, session: string): Promise<Place[]> {
  const sql = `SELECT id, event_index::int AS "eventIndex" FROM events WHERE session_id = $1 ORDER BY event_index, id`;
  return query<Place>(url, sql, [session]);
}

const upTo = (count: number) => Array.from({ length: count }, (_, number) => number + 1);

/** Checks that all are stored, each once, where its writer was told, from the first index on, and in each writer's order. */
function checkSession(stored: Place[], reports: Report[], count: number, others: Place[] = []): void {
  assert.deepEqual(
    reports.flatMap((report) => report.failed),
    [],
  );
  assert.deepEqual(
    stored.map((event) => event.eventIndex),
    upTo(reports.length * count + others.length),
  );
  assert.deepEqual(stored, [...reports.flatMap((report) => report.stored), ...others].sort(byIndex));
  for (const number of reports.keys()) {
    const own = stored.map((event) => event.id).filter((id) => id.startsWith(`process-${number}-`));
    assert.deepEqual(
      own,
      upTo(count).map((begun) => `process-${number}-${begun}`),
    );
  }
}

/** How a process writes to one session: how many events, and how many of them at once. */
const PACES = [
  ["awaiting each event", 150, 1],
  ["8 at once", 600, 8],
  ["awaiting none", 1_500, 1_500],
] as const;

for (const [pace, count, inFlight] of PACES) {
  test(`${WRITERS} processes on one session, ${pace}: every event is stored once, and its object has the stored index`, async (t) => {
    const url = await server.createDatabase();
    const reports = await atOnce(await writers(t), (number) => ({
      options: { connectionString: url },
      sessions: ["shared"],
      name: `process-${number}`,
      count,
      atOnce: inFlight,
    }));
    const stored = await places(url, "shared");
    checkSession(stored, reports, count);
    // Those that await have come in turn, or nothing was proved.
    const turns = stored.filter(({ id }, at) => at > 0 && id.split("-")[1] !== stored[at - 1].id.split("-")[1]);
    assert.ok(inFlight === count || turns.length >= WRITERS, `the processes took turns ${turns.length} times`);
  });
}

test(`${WRITERS} processes on one session through PgBouncer`, { skip: skipWithoutPgBouncer() }, async (t) => {
  const url = await server.createDatabase();
  const pgbouncer = await startPgBouncer(server);
  t.after(pgbouncer.cleanup);
  const processes = await writers(t);
  for (const [session, count, inFlight] of [
    ["awaiting", 100, 1],
    ["not awaiting", 1_000, 1_000],
  ] as const) {
    const reports = await atOnce(processes, (number) => ({
      options: { connectionString: pgbouncer.urlOf(url) },
      sessions: [session],
      name: `process-${number}`,
      count,
      atOnce: inFlight,
    }));
    checkSession(await places(url, session), reports, count);
  }
});

test("a program that uses plain SQL writes to the same session: no event of either is lost", async (t) => {
  const url = await server.createDatabase();
  await open(t, url).ready();
  const other = await otherConnection(t, url);
  const count = 300;
  const processes = await writers(t, 2);
  let ended = false;
  const reports = atOnce(processes, (number) => ({
    options: { connectionString: url },
    sessions: ["shared"],
    name: `process-${number}`,
    count,
    atOnce: number === 0 ? 1 : count,
  })).finally(() => (ended = true));

  // It takes no lock of ours, and what index comes next it asks first and uses later.
  const others: Place[] = [];
  for (let number = 1; !ended || others.length < 10; number += 1) {
    const [{ next }] = await other.run("SELECT coalesce(max(event_index), 0)::int + 1 AS next FROM events");
    const place = { id: `other-${number}`, eventIndex: next };
    const added = await other.run(
      `INSERT INTO events (id, event_index, session_id, created_at, connection_id, sender, payload_json)
       VALUES ($1, $2, 'shared', 1, 'other', 'client', '{}') ON CONFLICT DO NOTHING RETURNING 1`,
      [place.id, place.eventIndex],
    );
    if (added.length > 0) others.push(place);
  }
  checkSession(await places(url, "shared"), await reports, count, others);
});

test("with `reject`, processes that try the next index until it is free lose nothing, and are told as the SDK expects", async (t) => {
  const url = await server.createDatabase();
  const count = 100;
  const reports = await atOnce(await writers(t), (number) => ({
    options: { connectionString: url, onEventIndexConflict: "reject" },
    sessions: ["shared"],
    name: `process-${number}`,
    count,
    atOnce: 1,
    tries: 1_000_000,
  }));
  const failures = reports.flatMap((report) => report.failed);
  // All began at index 1, so all but one were refused.
  assert.ok(failures.length >= WRITERS - 1);
  for (const { code, message } of failures) {
    assert.equal(code, "ERR_PERSIST_INDEX_CONFLICT");
    assert.match(message, /UNIQUE constraint failed: .*session_id, .*event_index/);
  }
  checkSession(
    await places(url, "shared"),
    reports.map((report) => ({ ...report, failed: [] })),
    count,
  );
});

test("with `reject`, of several events at one place that are written at once one is stored, whoever asks", async (t) => {
  const url = await server.createDatabase();
  const drivers = upTo(3).map(() => open(t, url, { onEventIndexConflict: "reject" }));
  await Promise.all(drivers.map((driver) => driver.ready()));
  for (let round = 1; round <= 30; round += 1) {
    const writes = drivers.flatMap((driver, number) =>
      ["a", "b"].map((name) => driver.insertEvent("s", eventAt("s", round, { id: `${round}-${number}-${name}` }))),
    );
    const settled = await Promise.allSettled(writes);
    assert.equal(settled.filter(({ status }) => status === "fulfilled").length, 1);
  }
  assert.deepEqual(
    (await places(url, "s")).map((event) => event.eventIndex),
    upTo(30),
  );
});

test("processes that write the same sessions, records and events, at once have no write refused", async (t) => {
  const url = await server.createDatabase();
  const sessions = upTo(40).map((number) => `session-${number}`);
  const count = 30;
  const reports = await atOnce(await writers(t), (number) => ({
    options: { connectionString: url, maxConnections: 8 },
    // Each in an order of its own.
    sessions: [...sessions.slice(number * 7), ...sessions.slice(0, number * 7)],
    name: `process-${number}`,
    count,
    atOnce: 2,
    records: true,
  }));
  assert.deepEqual(
    reports.flatMap((report) => report.failed),
    [],
  );
  const rows = await query(
    url,
    `SELECT session_id, count(*)::int AS events, max(event_index)::int AS highest, count(DISTINCT events.id)::int AS ids
     FROM events JOIN sessions ON sessions.id = session_id GROUP BY session_id`,
  );
  assert.equal(rows.length, sessions.length);
  for (const { events, highest, ids } of rows) {
    assert.deepEqual(
      { events, highest, ids },
      { events: WRITERS * count, highest: WRITERS * count, ids: WRITERS * count },
    );
  }
  const [{ deadlocks }] = await query(
    url,
    "SELECT deadlocks::int FROM pg_stat_database WHERE datname = current_database()",
  );
  assert.equal(deadlocks, 0);
});

test("what one process has acknowledged, another one reads at once", async (t) => {
  const url = await server.createDatabase();
  const [writer] = await writers(t, 1);
  const driver = open(t, url);
  assert.deepEqual(await allEvents(driver, "s"), []);
  for (let round = 1; round <= 10; round += 1) {
    const [report] = await atOnce([writer], () => ({
      options: { connectionString: url },
      sessions: ["s"],
      name: `round-${round}`,
      count: 1,
      atOnce: 1,
    }));
    assert.deepEqual(report.stored, [{ id: `round-${round}-1`, eventIndex: round }]);
    assert.equal((await allEvents(driver, "s")).length, round);
  }
});
