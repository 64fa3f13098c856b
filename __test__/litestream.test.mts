/** Litestream beside the driver: what it replicates while 32 sessions write is all that was acknowledged. */
import assert from "node:assert/strict";
import { statSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";

import { directory } from "./support/directory.mts";
import { allEvents, largeEventAt } from "./support/records.mts";
import { replicate, restore, skipWithoutLitestream } from "./support/sqlite/litestream.mts";
import { open } from "./support/sqlite/refusals.mts";

const SESSIONS = Array.from({ length: 32 }, (_, number) => `s-${number}`);
const EVENT_BYTES = 8 << 10;

test(
  "all that was acknowledged can be restored, and the file is used on",
  { skip: skipWithoutLitestream() },
  async (t) => {
    const folder = directory(t);
    const [filename, replica] = [join(folder, "sessions.db"), join(folder, "replica")];
    const driver = open(t, filename, { checkpoints: "external" });
    await driver.ready();
    const litestream = await replicate(t, filename, replica);
    // Until Litestream has copied some of the log into the file, which nobody else does.
    const small = statSync(filename).size;
    let count = 0;
    while (count < 200 || statSync(filename).size === small) {
      count += 1;
      await Promise.all(
        SESSIONS.map((session) => driver.insertEvent(session, largeEventAt(session, count, EVENT_BYTES))),
      );
    }
    await driver.close();
    await litestream.end();

    const restored = join(folder, "restored.db");
    await restore(replica, restored);
    for (const file of [restored, filename]) {
      // Litestream has made tables of its own in it.
      const copy = open(t, file, { migrate: false });
      for (const session of SESSIONS) {
        const events = await allEvents(copy, session);
        assert.deepEqual(
          events.map(({ eventIndex }) => eventIndex),
          Array.from({ length: count }, (_, position) => position + 1),
        );
      }
      await copy.insertEvent("s-0", largeEventAt("s-0", count + 1, EVENT_BYTES));
    }
  },
);
