/**
 * Rebuilds the table of events once it is told to, and writes to the session `own` meanwhile: `rebuild.mts OPTIONS`, the JSON of a
 * driver's; Postgres', if they have a connection.
 */
import { PostgresSessionPersistDriver, type RebuildResult, SQLiteSessionPersistDriver } from "../../../index.js";
import { eventAt } from "../records.mts";

/** What it tells: that it is ready, that the event with this index is stored, and what was copied. */
export type Told = "ready" | number | RebuildResult;

if (process.argv[1] === import.meta.filename) {
  const tell = (told: Told) => process.send?.(told);
  const options = JSON.parse(process.argv[2]);
  const driver = options.connectionString
    ? new PostgresSessionPersistDriver(options)
    : new SQLiteSessionPersistDriver(options);
  await driver.ready();
  process.once("message", async () => {
    let rebuilt = false;
    const writing = (async () => {
      for (let index = 1; !rebuilt; index += 1) {
        await driver.insertEvent("own", eventAt("own", index));
        tell(index);
      }
    })();
    const copied = await driver.rebuild();
    rebuilt = true;
    await writing;
    await driver.close();
    tell(copied);
    process.disconnect();
  });
  tell("ready");
}
