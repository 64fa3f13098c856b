/** `copySessions` into SQLite, also out of a real browser. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import path from "node:path";
import { test } from "node:test";

import { build } from "esbuild";

import { receive } from "../examples/indexeddb/receive.mts";
import { SQLiteSessionPersistDriver } from "../index.js";
import { skipWithoutChromium, startBrowser } from "./support/browser.mts";
import { directory } from "./support/directory.mts";
import { allEvents, eventAt, sessionOf } from "./support/records.mts";
import { copies } from "./suites/copy.mts";

copies("SQLite", async (t) => ({ driver: "SQLite", options: { filename: path.join(directory(t), "store.db") } }));

test(
  "a page hands over what it has in IndexedDB, as examples/indexeddb does, and again what is new",
  { skip: skipWithoutChromium(), timeout: 120_000 },
  async (t) => {
    const persist = new SQLiteSessionPersistDriver();
    t.after(() => persist.close());
    const script = await scriptOfPage();
    const server = createServer((request, response) => {
      if (request.method === "POST") return void receive(request, response, persist);
      response.setHeader("content-type", "text/html");
      response.end(`<!doctype html><title>Sessions</title><script type="module">${script}</script>`);
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    t.after(() => server.close());
    const browser = await startBrowser(t);
    const page = await browser.newPage();
    const { port } = server.address() as AddressInfo;
    const address = `http://127.0.0.1:${port}/`;
    /** Puts events into the page's database, and hands all over. */
    const handOver = async (from: number, to: number) => {
      const events = Array.from({ length: to - from + 1 }, (_, position) => eventAt("s", from + position));
      await page.evaluate(`(async () => {
        const driver = new IndexedDBDriver();
        for (const event of ${JSON.stringify(events)}) await driver.insertEvent("s", event);
        await driver.updateSession(${JSON.stringify(sessionOf("s", { modes: null as never }))});
        await driver.updateSession(${JSON.stringify(sessionOf("t"))});
        await handOver(driver, "/sessions");
        await driver.close();
      })()`);
      return events;
    };
    await page.goto(address);
    const first = await handOver(1, 510);
    // The database stays with the browser.
    await page.reload();
    const second = await handOver(511, 513);
    assert.deepEqual(await allEvents(persist, "s"), [...first, ...second]);
    const { items } = await persist.listSessions();
    assert.deepEqual(items, [sessionOf("s", { modes: null as never }), sessionOf("t")]);

    // What the server refuses is an error on the page.
    await persist.insertEvent("s", eventAt("s", 600));
    await assert.rejects(handOver(514, 514), /Session s was not handed over: .*another one in the store/);
  },
);

/** The driver and the example, as a bundler makes one script of them. */
async function scriptOfPage(): Promise<string> {
  const { outputFiles } = await build({
    stdin: {
      contents: `
        import { IndexedDBDriver } from "./support/drivers/indexeddb.mts";
        import { handOver } from "../examples/indexeddb/hand-over.mts";
        Object.assign(globalThis, { IndexedDBDriver, handOver });`,
      resolveDir: import.meta.dirname,
    },
    bundle: true,
    write: false,
    format: "esm",
    platform: "browser",
    charset: "utf8",
  });
  return outputFiles[0]!.text;
}
