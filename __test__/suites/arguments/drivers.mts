/** The drivers that bad input is given to, and what each must do with a record or an event that is wrong. */
import assert from "node:assert/strict";
import { after, type TestContext } from "node:test";
import { type Driver, event, record, refused } from "./refusals.mts";
import { SECRET } from "./wrong-values.mts";

export interface DriverClass {
  /** A driver on a store with nothing in it, or whatever its constructor throws. */
  construct(options?: object): Driver;
  /** An option that it reads. */
  option: string;
  /** Whether ids may hold U+0000. */
  zero: boolean;
}

/** What a group of cases works with. */
export interface Drivers extends DriverClass {
  /** A new driver, which is closed after the test. */
  opened(t: TestContext): Driver;
  /** A record with these fields is refused over one that is stored, which stays as it was. */
  refusesRecord(fields: object, ...messages: RegExp[]): Promise<void>;
  /** An event with these fields is refused, and nothing stored. */
  refusesEvent(fields: object, ...messages: RegExp[]): Promise<void>;
}

export function driversOf(driverClass: DriverClass): Drivers {
  const opened = (t: TestContext): Driver => {
    const driver = driverClass.construct();
    t.after(() => driver.close());
    return driver;
  };
  // One for all that is refused, since it keeps nothing of it.
  let shared: Driver | undefined;
  const refusing = (): Driver => (shared ??= driverClass.construct());
  after(() => shared?.close());
  return {
    ...driverClass,
    opened,
    refusesRecord: async (fields, ...messages) => {
      const driver = refusing();
      await driver.updateSession(record());
      await refused(() => driver.updateSession({ ...record(), ...fields }), ...messages);
      assert.deepEqual(await driver.listSessions(), { items: [record()] });
    },
    refusesEvent: async (fields, ...messages) => {
      const driver = refusing();
      const given = { ...event({ payload: { secret: SECRET } as never }), ...fields };
      await refused(() => driver.insertEvent("s", given), ...messages);
      assert.deepEqual(await driver.listEvents({ sessionId: "s" }), { items: [] });
    },
  };
}
