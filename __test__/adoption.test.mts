/** Files that other drivers left in the field are adopted in place: no row is dropped, and the order is kept. */
import assert from "node:assert/strict";
import { copyFileSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";

import {
  adopted,
  asOwner,
  EVENTS_OLDER,
  EVENTS_TEXT,
  idsOf,
  made,
  ORDER_INDEX,
  SESSIONS_0_2,
  SESSIONS_0_4,
} from "./support/sqlite/layouts.mts";
import { allEvents, eventAt, sessionOf } from "./support/records.mts";
import { directory } from "./support/directory.mts";
import { start } from "./support/process.mts";

test("a file of 0.4 is adopted: all rows are there, records whole, order kept", async (t) => {
  const filename = made(
    t,
    `CREATE TABLE sessions (${SESSIONS_0_4}); CREATE TABLE events (${EVENTS_TEXT}); ${ORDER_INDEX};
     INSERT INTO sessions (id, agent, agent_session_id, last_connection_id, created_at, destroyed_at,
       session_init_json, sandbox_id, config_options_json, modes_json) VALUES
       ('b', 'mock', 'as', 'c', 7, 8, '{"cwd":"/"}', 'local/1', '[{"id":"x"}]', '{"currentModeId":"m"}'),
       ('a', 'mock', 'as', 'c', 7, NULL, NULL, NULL, NULL, 'null'),
       ('c', 'mock', 'as', 'c', 5, NULL, NULL, NULL, NULL, NULL);
     INSERT INTO events VALUES ('e2', 2, 'b', 12, 'c', 'agent', '{"b":1,"a":"\\u0000"}'),
       ('e1', 1, 'b', 11, 'c', 'client', '{"jsonrpc":"2.0"}'), ('e7', 7, 'b', 10, 'c', 'agent', '{}')`,
  );
  await adopted(t, filename, async (driver) => {
    assert.deepEqual((await driver.listSessions()).items, [
      { id: "c", agent: "mock", agentSessionId: "as", lastConnectionId: "c", createdAt: 5 },
      { id: "a", agent: "mock", agentSessionId: "as", lastConnectionId: "c", createdAt: 7, modes: null },
      {
        id: "b",
        agent: "mock",
        agentSessionId: "as",
        lastConnectionId: "c",
        createdAt: 7,
        destroyedAt: 8,
        sandboxId: "local/1",
        sessionInit: { cwd: "/" },
        configOptions: [{ id: "x" }],
        modes: { currentModeId: "m" },
      },
    ]);
    const common = { sessionId: "b", connectionId: "c" };
    assert.deepEqual(await allEvents(driver, "b", 2), [
      { ...common, id: "e1", eventIndex: 1, createdAt: 11, sender: "client", payload: { jsonrpc: "2.0" } },
      { ...common, id: "e2", eventIndex: 2, createdAt: 12, sender: "agent", payload: { b: 1, a: "\u0000" } },
      { ...common, id: "e7", eventIndex: 7, createdAt: 10, sender: "agent", payload: {} },
    ]);
  });
});

test("a file of 0.2 is adopted, and takes everything that a record of 0.4 holds", async (t) => {
  const filename = made(
    t,
    `CREATE TABLE sessions (${SESSIONS_0_2}); CREATE TABLE events (${EVENTS_TEXT}); ${ORDER_INDEX};
     INSERT INTO sessions VALUES ('s', 'mock', 'agent-s', 'connection-1', 1700000000000, NULL, '{"cwd":"/"}');
     INSERT INTO events VALUES ('e1', 1, 's', 11, 'c', 'client', '{}')`,
  );
  await adopted(t, filename, async (driver) => {
    const before = sessionOf("s", { sessionInit: { cwd: "/" } as never });
    assert.deepEqual(await driver.getSession("s"), before);
    const record = { ...before, sandboxId: "local/2", modes: null, configOptions: [], fromANewerSdk: { a: [1] } };
    await driver.updateSession(record as never);
    assert.deepEqual(await driver.getSession("s"), record);
    await driver.insertEvent("s", eventAt("s", 2, { fromANewerSdk: true } as never));
    assert.deepEqual(idsOf(await allEvents(driver, "s")), [
      ["e1", 1],
      ["s-2", 2],
    ]);
  });
});

for (const [what, column, values] of [
  ["without event_index", "", ""],
  ["with an event_index that is NULL", ", event_index INTEGER", ", NULL"],
]) {
  test(`the older layout with numeric ids ${what} is adopted in order of (created_at, id), with text ids`, async (t) => {
    const row = (id: number, session: string, createdAt: number) =>
      `(${id}, '${session}', ${createdAt}, 'c', 'agent', '{"n":${id}}'${values})`;
    const filename = made(
      t,
      `CREATE TABLE sessions (${SESSIONS_0_2}); CREATE TABLE events (${EVENTS_OLDER}${column});
       INSERT INTO events VALUES ${row(11, "s", 5)}, ${row(9, "s", 5)}, ${row(10, "s", 5)}, ${row(1, "s", 6)},
         ${row(2, "other", 1)}, ${row(100, "s", 4)}`,
    );
    await adopted(t, filename, async (driver) => {
      const events = await allEvents(driver, "s", 2);
      // As numbers, not as text: 9 comes before 10.
      assert.deepEqual(idsOf(events), [
        ["100", 1],
        ["9", 2],
        ["10", 3],
        ["11", 4],
        ["1", 5],
      ]);
      assert.deepEqual(
        events.map((event) => event.payload),
        [100, 9, 10, 11, 1].map((n) => ({ n })),
      );
      assert.deepEqual(idsOf(await allEvents(driver, "other")), [["2", 1]]);
      await driver.insertEvent("s", eventAt("s", 6, { id: "0d4cf2ad-7a25" }));
      // A retry of an event that was there before is the same event.
      await driver.insertEvent("s", eventAt("s", 5, { id: "1" }));
      assert.deepEqual(idsOf(await allEvents(driver, "s")).slice(4), [
        ["1", 5],
        ["0d4cf2ad-7a25", 6],
      ]);
    });
    asOwner(filename, (database) => {
      const ids = database.prepare("SELECT id FROM events WHERE session_id = 's' ORDER BY event_index").pluck().all();
      assert.deepEqual(ids, ["100", "9", "10", "11", "1", "0d4cf2ad-7a25"]);
    });
  });
}

test("the older layout with some indexes keeps rows without one in front, where they were written", async (t) => {
  const filename = made(
    t,
    `CREATE TABLE sessions (${SESSIONS_0_2}); CREATE TABLE events (${EVENTS_OLDER}, event_index INTEGER);
     INSERT INTO events VALUES (1, 's', 1, 'c', 'agent', '{}', NULL), (2, 's', 2, 'c', 'agent', '{}', NULL),
       (3, 's', 3, 'c', 'agent', '{}', 3), (4, 's', 4, 'c', 'agent', '{}', 4),
       (5, 'whole', 1, 'c', 'agent', '{}', 10), (6, 'whole', 2, 'c', 'agent', '{}', 20)`,
  );
  await adopted(t, filename, async (driver) => {
    assert.deepEqual(idsOf(await allEvents(driver, "s")), [
      ["1", 1],
      ["2", 2],
      ["3", 3],
      ["4", 4],
    ]);
    assert.deepEqual(idsOf(await allEvents(driver, "whole")), [
      ["5", 10],
      ["6", 20],
    ]);
  });
});

test("duplicate indexes are renumbered by (event_index, created_at, id), in their sessions only", async (t) => {
  const row = (id: string, index: number, session: string, createdAt: number) =>
    `('${id}', ${index}, '${session}', ${createdAt}, 'c', 'agent', '{"id":"${id}"}')`;
  const filename = made(
    t,
    `CREATE TABLE sessions (${SESSIONS_0_4}); CREATE TABLE events (${EVENTS_TEXT}); ${ORDER_INDEX};
     INSERT INTO events VALUES ${row("d", 3, "twice", 9)}, ${row("c", 3, "twice", 8)}, ${row("b", 3, "twice", 9)},
       ${row("a", 1, "twice", 50)}, ${row("e", 40, "twice", 1)},
       ${row("x", 5, "gaps", 2)}, ${row("y", 50, "gaps", 1)}, ${row("z", 0, "gaps", 3)}`,
  );
  await adopted(t, filename, async (driver) => {
    const events = await allEvents(driver, "twice");
    assert.deepEqual(idsOf(events), [
      ["a", 1],
      ["c", 2],
      ["b", 3],
      ["d", 4],
      ["e", 5],
    ]);
    assert.deepEqual(
      events.map((event) => event.payload),
      events.map(({ id }) => ({ id })),
    );
    assert.deepEqual(idsOf(await allEvents(driver, "gaps")), [
      ["z", 0],
      ["x", 5],
      ["y", 50],
    ]);
  });
});

test("after adoption SQLite itself refuses a second event at one place, in words that the SDK recognises", async (t) => {
  const filename = made(
    t,
    `CREATE TABLE sessions (${SESSIONS_0_4}); CREATE TABLE events (${EVENTS_TEXT}); ${ORDER_INDEX};
     INSERT INTO events VALUES ('a', 1, 's', 1, 'c', 'agent', '{}')`,
  );
  await adopted(t, filename, (driver) => driver.ready());
  asOwner(filename, (database) => {
    const insert = database.prepare("INSERT INTO events VALUES (?, ?, 's', 1, 'c', 'agent', '{}', NULL)");
    assert.throws(() => insert.run("b", 1), { message: /UNIQUE constraint failed: .*session_id, .*event_index/ });
    insert.run("b", 2);
  });
  await adopted(t, filename, async (driver) => {
    const event = eventAt("s", 1, { id: "c" });
    await driver.insertEvent("s", event);
    assert.equal(event.eventIndex, 3);
  });
});

test("opening an adopted file again changes no byte of it", async (t) => {
  const filename = made(
    t,
    `CREATE TABLE sessions (${SESSIONS_0_2}); CREATE TABLE events (${EVENTS_OLDER});
     INSERT INTO sessions VALUES ('s', 'mock', 'as', 'c', 1.5, NULL, NULL);
     INSERT INTO events VALUES (1, 's', 1, 'c', 'agent', '{}'), (2, 's', 2, 'c', 'agent', '{}')`,
  );
  const first = await adopted(t, filename, (driver) => allEvents(driver, "s"));
  const bytes = readFileSync(filename);
  const second = await adopted(t, filename, (driver) => allEvents(driver, "s"));
  assert.deepEqual(second, first);
  assert.deepEqual(readFileSync(filename), bytes);
});

test("sessions whose time is a fraction are listed page by page", async (t) => {
  const filename = made(
    t,
    `CREATE TABLE sessions (${SESSIONS_0_4}); CREATE TABLE events (${EVENTS_TEXT});
     INSERT INTO sessions (id, agent, agent_session_id, last_connection_id, created_at)
       VALUES ('b', 'm', 'a', 'c', 5.25), ('a', 'm', 'a', 'c', 5.75), ('c', 'm', 'a', 'c', 5)`,
  );
  await adopted(t, filename, async (driver) => {
    const ids: string[] = [];
    let cursor: string | undefined;
    do {
      const page = await driver.listSessions({ limit: 1, cursor });
      ids.push(...page.items.map((session) => session.id));
      cursor = page.nextCursor;
    } while (cursor !== undefined);
    assert.deepEqual(ids, ["a", "b", "c"]);
  });
});

test("an event or session whose other times are fractions is read", async (t) => {
  const filename = made(
    t,
    `CREATE TABLE sessions (${SESSIONS_0_4}); CREATE TABLE events (${EVENTS_TEXT});
     INSERT INTO sessions (id, agent, agent_session_id, last_connection_id, created_at, destroyed_at)
       VALUES ('s', 'm', 'a', 'c', 5, 6.5);
     INSERT INTO events VALUES ('a', 1, 's', 5.5, 'c', 'agent', '{}')`,
  );
  await adopted(t, filename, async (driver) => {
    assert.equal(Math.floor((await driver.getSession("s"))?.destroyedAt ?? 0), 6);
    assert.deepEqual(
      (await allEvents(driver, "s")).map((event) => Math.floor(event.createdAt)),
      [5],
    );
  });
});

test("text that is not JSON is ERR_PERSIST_CORRUPT for its page alone: session and column are named, the content is not", async (t) => {
  const filename = join(directory(t), "broken.db");
  await adopted(t, filename, async (driver) => {
    for (let index = 1; index <= 6; index += 1) await driver.insertEvent("broken", eventAt("broken", index));
    await driver.insertEvent("whole", eventAt("whole", 1));
    await driver.updateSession(sessionOf("broken"));
    await driver.updateSession(sessionOf("whole"));
  });
  asOwner(filename, (database) => {
    database.exec(
      `UPDATE events SET payload_json = '{"secret":"swordfish"' WHERE session_id = 'broken' AND event_index = 4;
       UPDATE sessions SET modes_json = 'swordfish' WHERE id = 'broken'`,
    );
  });
  await adopted(t, filename, async (driver) => {
    const corrupt = (column: RegExp) => (error: Error & { code: string }) => {
      assert.equal(error.code, "ERR_PERSIST_CORRUPT");
      assert.match(error.message, column);
      for (let link: unknown = error; link instanceof Error; link = link.cause) {
        assert.ok(!String(link.stack).includes("swordfish"), link.message);
      }
      return true;
    };
    const page = await driver.listEvents({ sessionId: "broken", limit: 2 });
    assert.deepEqual(page.items, [eventAt("broken", 1), eventAt("broken", 2)]);
    const rest = { sessionId: "broken", limit: 2, cursor: page.nextCursor };
    await assert.rejects(driver.listEvents(rest), corrupt(/session "broken".*payload_json/));
    await assert.rejects(driver.getSession("broken"), corrupt(/session "broken".*modes_json/));
    await assert.rejects(driver.listSessions(), corrupt(/modes_json/));
    assert.deepEqual(await allEvents(driver, "whole"), [eventAt("whole", 1)]);
    assert.deepEqual(await driver.getSession("whole"), sessionOf("whole"));
    // It can be mended by writing the same event, or the record, again.
    await driver.insertEvent("broken", eventAt("broken", 4));
    await driver.updateSession(sessionOf("broken"));
    assert.equal((await allEvents(driver, "broken")).length, 6);
    assert.equal((await driver.listSessions()).items.length, 2);
  });
});

test("an adoption that is killed in the middle is harmless", { timeout: 120_000 }, async (t) => {
  const folder = directory(t);
  const count = 40_000;
  const old = join(folder, "old.db");
  asOwner(old, (database) =>
    database.exec(
      `CREATE TABLE sessions (${SESSIONS_0_2}); CREATE TABLE events (${EVENTS_OLDER});
       INSERT INTO sessions VALUES ('session-0', 'mock', 'as', 'c', 1, NULL, NULL);
       WITH RECURSIVE number(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < ${count})
       INSERT INTO events SELECT n, 'session-' || (n % 4), n / 100, 'c', 'agent', '{"n":' || n || '}' FROM number`,
    ),
  );
  const shared = join(folder, "shared.db");
  copyFileSync(old, shared);
  asOwner(shared, (database) => database.exec("CREATE TABLE customers (id INTEGER PRIMARY KEY)"));
  const expected = [0, 1, 2, 3].map((session) =>
    Array.from({ length: count }, (_, number) => number + 1).filter((n) => n % 4 === session),
  );
  /** Starts to adopt a copy, and kills after a part of the time that it takes; gives that time when it is not killed. */
  const adopt = async (source: string, filename: string, killAfter?: number) => {
    copyFileSync(source, filename);
    const child = start(t, "adopt.mts", [filename]);
    await child.next();
    child.send("go");
    await child.next();
    const began = performance.now();
    if (killAfter === undefined) await child.next();
    else await new Promise((resolve) => setTimeout(resolve, killAfter));
    child.kill("SIGKILL");
    await child.ended;
    return performance.now() - began;
  };
  const whole = await adopt(old, join(folder, "whole.db"));

  let interrupted = 0;
  for (let round = 0; round < 8; round += 1) {
    const filename = join(folder, `killed-${round}.db`);
    // Every other one is an application's file, which keeps the version elsewhere.
    const source = round % 2 === 0 ? old : shared;
    await adopt(source, filename, (whole * (round + Math.random())) / 8);
    const version = asOwner(filename, (database) => {
      assert.deepEqual(database.pragma("integrity_check"), [{ integrity_check: "ok" }]);
      assert.equal(database.prepare("SELECT count(*) FROM events").pluck().get(), count);
      if (source === old) return database.pragma("user_version", { simple: true });
      return database.prepare("SELECT count(*) FROM sqlite_schema WHERE name = 'persist_version'").pluck().get();
    });
    if (version === 0) interrupted += 1;
    await adopted(t, filename, async (driver) => {
      for (const [number, ids] of expected.entries()) {
        const events = await allEvents(driver, `session-${number}`, 5_000);
        assert.deepEqual(
          idsOf(events),
          ids.map((id, position) => [String(id), position + 1]),
        );
      }
      assert.equal((await driver.listSessions()).items.length, 1);
    });
  }
  assert.ok(interrupted > 0, "no adoption was interrupted");
});

test("events without an index are numbered where a unique index is there already", async (t) => {
  const filename = made(
    t,
    `CREATE TABLE events (${EVENTS_TEXT.replace("event_index INTEGER NOT NULL", "event_index INTEGER")},
       UNIQUE (session_id, event_index));
     INSERT INTO events VALUES ('b', NULL, 's', 2, 'c', 'agent', '{}'), ('a', NULL, 's', 1, 'c', 'agent', '{}'),
       ('c', 1, 's', 3, 'c', 'agent', '{}'), ('d', 2, 's', 4, 'c', 'agent', '{}')`,
  );
  const events = await adopted(t, filename, (driver) => allEvents(driver, "s"));
  assert.deepEqual(idsOf(events), [["a", 1], ["b", 2], ["c", 3], ["d", 4]]); // prettier-ignore
});
