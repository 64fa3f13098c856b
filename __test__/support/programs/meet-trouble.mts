/**
 * Has a driver meet what needs a person's eyes while nobody listens, and ends once it has counted that: `meet-trouble.mts STORAGE`, whose
 * table of events keeps what is to be removed.
 */
import { eventAt } from "../records.mts";
import { openPersist, type Storage } from "../storage.mts";

const driver = openPersist(JSON.parse(process.argv[2]!) as Storage, { maxEventsPerSession: 5 });
for (let index = 1; index <= 40; index += 1) await driver.insertEvent("kept", eventAt("kept", index));
// Its place is taken.
await driver.insertEvent("kept", eventAt("kept", 40, { id: "another" }));
await driver.deleteSession("gone");
let refused: unknown;
await driver.insertEvent("gone", eventAt("gone", 1)).catch((error: unknown) => (refused = error));
for (;;) {
  const { warnings, reassigned, failed } = await driver.stats();
  if (warnings > 0 && reassigned === 1 && failed === 1 && refused) break;
}
await driver.close();
