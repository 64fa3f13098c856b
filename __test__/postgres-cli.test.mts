/** The command line on Postgres. */
import assert from "node:assert/strict";
import { after, test } from "node:test";

import { run } from "./support/command-line.mts";
import { startProxy } from "./support/postgres/proxy.mts";
import { startServer } from "./support/postgres/server.mts";
import { eventAt, sessionOf } from "./support/records.mts";
import { commandLine } from "./suites/cli.mts";
import { administrator } from "./suites/cli/administrator.mts";
import { secrets } from "./suites/cli/secrets.mts";
import { filled, newSchemaOf } from "./suites/cli/store.mts";

const server = await startServer();
after(server.cleanup);

commandLine("Postgres", newSchemaOf(server.url));

administrator(server);

secrets(server.url);

test("sessions and show: two connections are made, since each takes several round trips", async (t) => {
  const { store } = await filled(t, newSchemaOf(server.url), async (driver) => {
    await driver.insertEvent("s", eventAt("s", 1));
    await driver.updateSession(sessionOf("s"));
  });
  const proxy = await startProxy(server);
  t.after(() => proxy.close());
  for (const command of [["sessions"], ["show", "s"]]) {
    const before = proxy.opened;
    const outcome = await run([...command, "--store", proxy.urlOf(store)]);
    assert.deepEqual([outcome.code, outcome.stderr, proxy.opened - before], [0, "", 2]);
  }
});
