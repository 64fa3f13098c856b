/**
 * Rows that another program has written into the tables, hostile or careless, and ids of any size: both drivers give what
 * the columns say, or an error that names the column, and never another event or a number that is nearly right.
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import { after, describe, test, type TestContext } from "node:test";
import { inspect } from "node:util";

import { PostgresSessionPersistDriver, SQLiteSessionPersistDriver } from "../index.js";
import { makeSchema } from "./support/postgres/schema.mts";
import { query, startServer } from "./support/postgres/server.mts";
import { otherProcess } from "./support/sqlite/other-process.mts";
import { eventAt, sessionOf } from "./support/records.mts";
import { directory } from "./support/directory.mts";

type Driver = SQLiteSessionPersistDriver | PostgresSessionPersistDriver;

interface Store {
  driver: Driver;
  /** Runs one statement as the other program. */
  run(sql: string): Promise<unknown>;
}

const server = await startServer();
after(server.cleanup);

const stores: Record<string, (t: TestContext, options?: object) => Promise<Store>> = {
  SQLite: async (t, options) => {
    const filename = join(directory(t), "a.db");
    const driver = new SQLiteSessionPersistDriver({ filename, ...options });
    await driver.ready();
    const other = await otherProcess(t, filename);
    t.after(() => driver.close());
    return { driver, run: (sql) => other.run(sql) };
  },
  Postgres: async (t, options) => {
    const schema = await makeSchema(server.url);
    const driver = new PostgresSessionPersistDriver({ connectionString: server.url, schema, ...options });
    t.after(() => driver.close());
    await driver.ready();
    return { driver, run: (sql) => query(server.url, `SET search_path = ${schema}; ${sql}`) };
  },
};

/** Numbers that a JavaScript number does not hold exactly. */
const BEYOND = ["9007199254740993", "-9007199254740993", "9223372036854775807"];

for (const [name, open] of Object.entries(stores)) {
  describe(name, () => {
    test("a field of extra_json that is a column's is left out: columns win", async (t) => {
      const { driver, run } = await open(t);
      const event = eventAt("s", 1);
      const session = sessionOf("s");
      await driver.insertEvent("s", event);
      await driver.updateSession(session);
      const ofBoth = { id: "x", createdAt: 5 };
      const ofEvents = { eventIndex: 77, sessionId: "y", connectionId: "z", sender: "nobody", payload: null };
      const ofSessions = {
        ...{ agent: "x", agentSessionId: "y", lastConnectionId: "z", destroyedAt: 6, sandboxId: "w" },
        ...{ sessionInit: 1, configOptions: 2, modes: 3 },
      };
      const kept = { first: 1, last: [{ id: "x" }] };
      const all = { first: 1, ...ofBoth, ...ofEvents, ...ofSessions, last: [{ id: "x" }] };
      for (const [extra, extraOfEvent, extraOfSession] of [
        [JSON.stringify(all), { ...kept, ...ofSessions }, { ...kept, ...ofEvents }],
        [JSON.stringify(ofBoth), {}, {}],
        [String.raw`{"created\u0041t":77,"\u0069d":"x","kept":1}`, { kept: 1 }, { kept: 1 }],
        [String.raw`{ "kept" : "\ud800" , "id" : 5 }`, { kept: "\ud800" }, { kept: "\ud800" }],
        ["{}", {}, {}],
        ["[5]", {}, {}],
      ] as [string, object, object][]) {
        for (const table of ["events", "sessions"]) await run(`UPDATE ${table} SET extra_json = '${extra}'`);
        assert.deepEqual((await driver.listEvents({ sessionId: "s" })).items, [{ ...event, ...extraOfEvent }], extra);
        assert.deepEqual(await driver.getSession("s"), { ...session, ...extraOfSession }, extra);
        assert.deepEqual((await driver.listSessions()).items, [{ ...session, ...extraOfSession }], extra);
      }
    });

    test("a number that JavaScript cannot hold is ERR_PERSIST_CORRUPT, and its column named", async (t) => {
      const { driver, run } = await open(t);
      const refusal = (column: string) => ({
        code: "ERR_PERSIST_CORRUPT",
        message: new RegExp(`column ${column} holds -?9\\d{15,18}.*MAX_SAFE_INTEGER`),
      });
      for (const number of BEYOND) {
        for (const column of ["event_index", "created_at"]) {
          await driver.insertEvent("s", eventAt("s", 1));
          await run(`UPDATE events SET ${column} = ${number}`);
          await assert.rejects(driver.listEvents({ sessionId: "s" }), refusal(column), number);
          await run("DELETE FROM events");
        }
        for (const column of ["created_at", "destroyed_at"]) {
          await driver.updateSession(sessionOf("s"));
          await run(`UPDATE sessions SET ${column} = ${number}`);
          await assert.rejects(driver.getSession("s"), refusal(column), number);
          await assert.rejects(driver.listSessions(), refusal(column), number);
        }
      }
      // The largest that it can hold.
      await driver.insertEvent("s", eventAt("s", 1));
      await run(`UPDATE events SET event_index = ${Number.MAX_SAFE_INTEGER}, created_at = ${Number.MIN_SAFE_INTEGER}`);
      const { items } = await driver.listEvents({ sessionId: "s" });
      assert.equal(items[0].eventIndex, Number.MAX_SAFE_INTEGER);
      assert.equal(items[0].createdAt, Number.MIN_SAFE_INTEGER);
    });

    test("no message repeats an id of a megabyte", async (t) => {
      const { driver, run } = await open(t);
      const id = "i".repeat(1 << 20);
      const short = async (call: Promise<unknown>, message: RegExp) => {
        const error = await call.then(
          () => assert.fail("it did not reject"),
          (error: Error) => error,
        );
        assert.match(error.message, message);
        assert.ok(inspect(error, { depth: null }).length < 4000, `${error.message.length} characters`);
      };
      await short(driver.insertEvent(id, eventAt("s", 1)), /event\.sessionId is "s".*"i+" \(cut, 1048576 bytes\)/);
      await short(driver.insertEvent("s", eventAt(id, 1)), /event\.sessionId is "i+" \(cut, 1048576 bytes\)/);
      const broken = async (table: string, column: string, call: () => Promise<unknown>, message: RegExp) => {
        await run(`ALTER TABLE ${table} RENAME COLUMN ${column} TO elsewhere`);
        await short(call(), message);
        await run(`ALTER TABLE ${table} RENAME COLUMN elsewhere TO ${column}`);
        await driver.ready();
      };
      const session = sessionOf(id);
      const cut = String.raw`session "i+" \(cut, 1048576 bytes\)`;
      await broken("sessions", "agent", () => driver.getSession(id), new RegExp(`reading ${cut} from`));
      await broken("sessions", "agent", () => driver.updateSession(session), new RegExp(`writing ${cut} to`));
      const events = () => driver.listEvents({ sessionId: id });
      await broken("events", "sender", events, new RegExp(`the events of ${cut} from`));
      const insert = () => driver.insertEvent(id, eventAt(id, 1));
      await broken("events", "sender", insert, new RegExp(`writing event 1 of ${cut} to`));
    });
  });
}

test("Postgres: a cursor that its text cannot hold is an error, and no empty last page", async (t) => {
  const { driver } = await stores.Postgres(t);
  await driver.updateSession(sessionOf("s"));
  const refusal = { name: "TypeError", code: "ERR_PERSIST_INVALID_ARGUMENT", message: /^the cursor .*`nextCursor`/ };
  await assert.rejects(driver.listSessions({ cursor: "s1:0:a\u0000b" }), refusal);
  // Whereas there is no session of such an id.
  assert.equal(await driver.getSession("a\u0000b"), undefined);

  const latin = await server.createDatabase("ENCODING LATIN1 LC_COLLATE 'C' LC_CTYPE 'C'");
  await using narrow = new PostgresSessionPersistDriver({ connectionString: latin });
  await narrow.updateSession(sessionOf("s"));
  await assert.rejects(narrow.listSessions({ cursor: "s1:0:日本語" }), refusal);
  assert.equal(await narrow.getSession("日本語"), undefined);
});
