/** A server that cannot be reached: `ready` tells soon if it never could be, and writes go on trying. */
import assert from "node:assert/strict";
import { after, test, type TestContext } from "node:test";
import { setTimeout as delay } from "node:timers/promises";

import { PostgresSessionPersistDriver, type PostgresSessionPersistDriverOptions } from "../index.js";
import { type NetworkProxy, startProxy } from "./support/postgres/proxy.mts";
import { startServer } from "./support/postgres/server.mts";
import { allEvents, eventAt } from "./support/records.mts";

const server = await startServer();
after(server.cleanup);

const limit = { timeout: 120_000 };
const FOREVER = { queryTimeoutMs: 600_000 };

function opened(t: TestContext, connectionString: string, options: PostgresSessionPersistDriverOptions = {}) {
  const driver = new PostgresSessionPersistDriver({ connectionString, ...options });
  t.after(() => driver.close());
  return driver;
}

async function proxied(t: TestContext): Promise<NetworkProxy> {
  const proxy = await startProxy(server);
  t.after(() => proxy.close());
  return proxy;
}

/** `ready` rejects, and says why. It would not within a test's time if it waited for `queryTimeoutMs`, as others do. */
async function tells(driver: PostgresSessionPersistDriver, message: RegExp): Promise<void> {
  await assert.rejects(driver.ready(), { name: "Error", code: "ERR_PERSIST_UNAVAILABLE", message });
}

const REFUSED =
  /^connecting to database .* failed: 127\.0\.0\.1:\d+ cannot be reached: .*refused.*writes go on .*options\.queryTimeoutMs/;

test(
  "a port that refuses is told soon, again and again, and writes are stored when the server comes up",
  limit,
  async (t) => {
    const proxy = await proxied(t);
    proxy.refuse();
    const driver = opened(t, proxy.urlOf(await server.createDatabase()), FOREVER);
    const events = Array.from({ length: 50 }, (_, at) => eventAt("s", at + 1));
    const writes = events.map((event) => driver.insertEvent("s", event));
    await tells(driver, REFUSED);
    await Promise.all([tells(driver, REFUSED), tells(driver, REFUSED)]);
    await proxy.accept();
    await Promise.all(writes);
    await driver.ready();
    assert.deepEqual(await allEvents(driver, "s"), events);
  },
);

test("a host that nobody knows is told soon, and a write goes on for queryTimeoutMs", limit, async (t) => {
  const driver = opened(t, "postgres://app:secret@missing.invalid/app", { queryTimeoutMs: 4000 });
  let written = false;
  const write = driver.insertEvent("s", eventAt("s", 1)).finally(() => (written = true));
  write.catch(() => {});
  await tells(driver, /missing\.invalid:5432 cannot be reached: .*check the address/);
  assert.equal(written, false);
  await assert.rejects(write, {
    code: "ERR_PERSIST_UNAVAILABLE",
    message: /missing\.invalid:5432 cannot be reached/,
  });
});

test("a host that is silent is told once connectTimeoutMs is over", limit, async (t) => {
  const proxy = await proxied(t);
  proxy.pause();
  const driver = opened(t, proxy.urlOf(server.url), { ...FOREVER, connectTimeoutMs: 500 });
  await tells(driver, /did not answer within options\.connectTimeoutMs.*writes go on/);
});

test("of several hosts one that answers is enough", limit, async (t) => {
  const [gone, there] = [await proxied(t), await proxied(t)];
  gone.refuse();
  const hosts = `127.0.0.1:${gone.port},127.0.0.1:${there.port}`;
  const url = (await server.createDatabase()).replace(/127\.0\.0\.1:\d+/, hosts);
  await opened(t, url).ready();
});

test("a server that was reached before is waited for", limit, async (t) => {
  const proxy = await proxied(t);
  const driver = opened(t, proxy.urlOf(server.urlOf("later")));
  await assert.rejects(driver.ready(), { code: "ERR_PERSIST_UNAVAILABLE", sqlState: "3D000" });
  proxy.refuse();
  const ready = driver.ready();
  // Longer than it would wait for one that it never reached.
  await delay(2_500);
  await proxy.accept();
  await assert.rejects(ready, { sqlState: "3D000" });
});
