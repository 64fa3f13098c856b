/** Opens a driver for each message, which holds its options, stores one event, closes it, and says what came of it. */
import { PostgresSessionPersistDriver, type PostgresSessionPersistDriverOptions } from "../../../index.js";
import { eventAt } from "../records.mts";

process.on(
  "message",
  async ({ options, session }: { options: PostgresSessionPersistDriverOptions; session: string }) => {
    try {
      await using driver = new PostgresSessionPersistDriver(options);
      await driver.ready();
      await driver.insertEvent(session, eventAt(session, 1));
      process.send?.("stored");
    } catch (error) {
      process.send?.(`${(error as { code: string }).code}: ${(error as Error).message}`);
    }
  },
);
process.send?.("loaded");
