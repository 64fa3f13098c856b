/** A page of events that ends early, since it is as long as a page may be, leaves nothing to wait for to those who read next. */
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";

import { PostgresSessionPersistDriver } from "../index.js";
import { startProxy } from "./support/postgres/proxy.mts";
import { query, startServer } from "./support/postgres/server.mts";
import { sessionOf } from "./support/records.mts";

const server = await startServer();
after(server.cleanup);

const MIB = 2 ** 20;
const ROWS = 48;
const ROW = 8 * MIB;

test("what is left of a page that was cut is not sent any more, and the next read gets another connection", async (t) => {
  const proxy = await startProxy(server);
  const applicationName = "cut";
  // One connection reads, and one writes.
  const connectionString = proxy.urlOf(server.url);
  const driver = new PostgresSessionPersistDriver({ connectionString, maxConnections: 2, applicationName });
  t.after(async () => {
    await driver.close();
    await proxy.close();
  });
  await driver.updateSession(sessionOf("s"));
  const [{ json }] = await query(server.url, "SELECT json_build_object('text', repeat('x', $1))::text AS json", [ROW]);
  await query(
    server.url,
    `INSERT INTO events (id, event_index, session_id, created_at, connection_id, sender, payload_json)
     SELECT 'e-' || number, number, 's', 1, 'c', 'agent', $1::json FROM generate_series(1, $2) AS number`,
    [json, ROWS],
  );

  // A page that is as long as was asked for ends with a row that says whether more follow: all of it has come.
  const short = await driver.listEvents({ sessionId: "s", limit: 2 });
  assert.equal(short.items.length, 2);
  await driver.getSession("s");
  const opened = proxy.opened;
  await driver.listEvents({ sessionId: "s", limit: 2 });
  await driver.getSession("s");
  assert.equal(proxy.opened, opened);

  const before = proxy.received;
  const page = await driver.listEvents({ sessionId: "s", limit: 1_000 });
  const kept = page.items.length;
  assert.ok(kept > 0 && kept * ROW <= 256 * MIB, `${kept} rows`);
  assert.deepEqual(await driver.getSession("s"), sessionOf("s"));
  const received = proxy.received - before;
  assert.ok(received < (kept + 12) * ROW, `${received / MIB} MiB came, of which ${(kept * ROW) / MIB} were wanted`);
  assert.equal(proxy.opened, opened + 2, "one that reads, and one that tells the server to stop");
  const sending = "SELECT FROM pg_stat_activity WHERE application_name = $1 AND state = 'active'";
  while ((await query(server.url, sending, [applicationName])).length > 0) await delay(10);

  const rest = await driver.listEvents({ sessionId: "s", cursor: page.nextCursor });
  assert.deepEqual(
    [...page.items, ...rest.items].map(({ eventIndex }) => eventIndex),
    Array.from({ length: ROWS }, (_, position) => position + 1),
  );
});
