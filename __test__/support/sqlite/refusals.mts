/** Drivers on files that may not be usable: what each call is refused with, and files to try it on. */
import assert from "node:assert/strict";
import type { TestContext } from "node:test";

import type { SQLiteSessionPersistDriverOptions } from "../../../index.js";
import { SQLiteSessionPersistDriver } from "../../../index.js";
import { asOwner, EVENTS_TEXT, SESSIONS_0_2 } from "./layouts.mts";
import { allEvents, eventAt, sessionOf } from "../records.mts";

/** A driver on the file, which is closed after the test. */
export function open(t: TestContext, filename: string, options: SQLiteSessionPersistDriverOptions = {}) {
  const driver = new SQLiteSessionPersistDriver({ filename, ...options });
  t.after(() => driver.close());
  return driver;
}

/** Every call rejects, with this code and a message that names the file and matches. */
export async function refuses(
  driver: SQLiteSessionPersistDriver,
  filename: string,
  code: string,
  message: RegExp,
  readonly = false,
) {
  const calls = {
    ready: () => driver.ready(),
    insertEvent: () => driver.insertEvent("s", eventAt("s", 1)),
    updateSession: () => driver.updateSession(sessionOf("s")),
    getSession: () => driver.getSession("s"),
    listSessions: () => driver.listSessions(),
    listEvents: () => driver.listEvents({ sessionId: "s" }),
  };
  for (const [name, call] of Object.entries(calls)) {
    if (readonly && ["insertEvent", "updateSession"].includes(name)) {
      await assert.rejects(call(), { code: "ERR_PERSIST_READONLY" });
      continue;
    }
    await assert.rejects(call(), (error: Error & { code: string }) => {
      assert.equal(error.code, code, `${name}: ${error.message}`);
      assert.match(error.message, message, name);
      assert.ok(error.message.includes(filename), `${name} does not name the file: ${error.message}`);
      assert.ok(!(error instanceof TypeError), name);
      return true;
    });
  }
}

/** The driver stores and reads. */
export async function works(driver: SQLiteSessionPersistDriver): Promise<void> {
  await driver.insertEvent("works", eventAt("works", 1));
  assert.deepEqual(await allEvents(driver, "works"), [eventAt("works", 1)]);
}

/** A file of ours with one session and `count` events, closed. */
export async function readyFile(filename: string, count = 1): Promise<void> {
  const driver = new SQLiteSessionPersistDriver({ filename });
  await driver.updateSession(sessionOf("s"));
  for (let index = 1; index <= count; index += 1) await driver.insertEvent("s", eventAt("s", index));
  await driver.close();
}

/** A file in an older layout of the field, with one event. */
export function oldLayout(filename: string): void {
  asOwner(filename, (database) =>
    database.exec(
      `CREATE TABLE sessions (${SESSIONS_0_2}); CREATE TABLE events (${EVENTS_TEXT});
       INSERT INTO events VALUES ('a', 1, 's', 1, 'c', 'agent', '{}')`,
    ),
  );
}
