/** What the pages show of a shell, word by word: README.md and docs/moving.md, from SQLite to Postgres and the other way round. */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, describe, test, type TestContext } from "node:test";

import { SQLiteSessionPersistDriver } from "../index.js";
import { startServer as startAgentServer } from "./support/agent/server.mts";
import { run } from "./support/command-line.mts";
import { blocks, checkPrinted, commandsIn, printedBy, section } from "./support/console.mts";
import { directory } from "./support/directory.mts";
import { query, startServer as startPostgres } from "./support/postgres/server.mts";
import { runQuickStart } from "./support/quick-start.mts";
import { eventAt, sessionOf } from "./support/records.mts";
import { asOwner, EVENTS_TEXT, SESSIONS_0_4 } from "./support/sqlite/layouts.mts";
import { openPersist, type Persist, type Storage } from "./support/storage.mts";
import { path } from "./support/types/compiler.mts";

const skip = process.platform === "win32" && "the pages show a Unix shell";
const [agents, postgres] = await Promise.all([startAgentServer(), startPostgres()]);
after(() => Promise.all([agents.cleanup(), postgres.cleanup()]));

/** A database, and what a shell has of it: the pages keep the password out of the URL. */
async function database() {
  const storage: Storage = {
    driver: "Postgres",
    options: { connectionString: await postgres.createDatabase(), schema: "public" },
  };
  const url = new URL(storage.options.connectionString!);
  const { password } = url;
  url.password = "";
  return { storage, url: url.href, env: { PGPASSWORD: decodeURIComponent(password) } };
}

/** A file of the name that the pages have. */
function file(t: TestContext) {
  const cwd = directory(t);
  return { cwd, storage: { driver: "SQLite", options: { filename: join(cwd, "sandbox-agent.db") } } satisfies Storage };
}

describe("README.md", { skip, concurrency: true }, () => {
  const readme = readFileSync(path("README.md"), "utf8");
  const [shown] = blocks(section(readme, "## From a shell"), "console").map(commandsIn);
  /** It is 40 days ago that the quick start was run twice. */
  const month = ["sessions", "events"].map((table) => `UPDATE ${table} SET created_at = created_at - 3456000000`);

  test("finds an old session in a file, reads it, moves it to Postgres and prunes it", async (t) => {
    const { cwd, storage } = file(t);
    const { url, env } = await database();
    for (let run = 0; run < 2; run += 1) await runQuickStart({ storage, baseUrl: agents.baseUrl });
    asOwner(storage.options.filename, (database) => database.exec(month.join(";")));
    await checkPrinted(shown!, { cwd, env, instead: { "postgres://app@db.example.com/app": url } });
  });

  test("and the other way round", async (t) => {
    const { storage, url, env } = await database();
    for (let run = 0; run < 2; run += 1) await runQuickStart({ storage, baseUrl: agents.baseUrl });
    await query(storage.options.connectionString!, month.join(";"));
    await checkPrinted(shown!, {
      cwd: directory(t),
      env: { ...env, SANDBOX_AGENT_PERSIST_URL: url },
      instead: { "./sandbox-agent.db": url, "postgres://app@db.example.com/app": "./other.db" },
    });
  });
});

describe("docs/moving.md", { skip, concurrency: true }, () => {
  const page = readFileSync(path("docs/moving.md"), "utf8");
  const shownUnder = (heading: string) => blocks(section(page, heading), "console").map(commandsIn);
  /** The commands that the page does not show the output of. Those of other programs are not run. */
  const commandsUnder = (heading: string) =>
    blocks(section(page, heading), "sh")
      .flatMap((block) => block.split("\n"))
      .filter((line) => line.startsWith("npx ") && !line.includes("|"));

  async function insert(driver: Persist, id: string, from: number, through: number): Promise<void> {
    for (let index = from; index <= through; index += 1) await driver.insertEvent(id, eventAt(id, index));
  }

  /** What the page begins with. */
  async function filled(t: TestContext) {
    const { cwd, storage } = file(t);
    const driver = openPersist(storage);
    for (const [id, events] of [
      ["my-session", 10],
      ["earlier", 5],
    ] as const) {
      await driver.updateSession(sessionOf(id));
      await insert(driver, id, 1, events);
    }
    await driver.close();
    return { cwd, storage };
  }

  async function changed(storage: Storage, change: (driver: Persist) => Promise<void>): Promise<void> {
    const driver = openPersist(storage);
    await change(driver);
    await driver.close();
  }

  test("copies while a server runs and after it has ended, and tells of what is different", async (t) => {
    const source = await filled(t);
    const target = await database();
    const surroundings = {
      cwd: source.cwd,
      env: { ...target.env, SANDBOX_AGENT_PERSIST_URL: target.url },
      instead: { "postgres://app@db.example.com/app": target.url },
    };
    await checkPrinted(commandsIn(blocks(page, "console")[0]!), surroundings);
    const [whileItRuns, afterIt] = shownUnder("### A server that runs, from SQLite to Postgres");
    await checkPrinted(whileItRuns!, surroundings);
    await changed(source.storage, (driver) => insert(driver, "my-session", 11, 15));
    await checkPrinted(afterIt!, surroundings);
    await changed(target.storage, (driver) => insert(driver, "my-session", 16, 16));
    const [different] = shownUnder("### Different");
    await checkPrinted(different!, surroundings);

    // What the page says to do then.
    const printed = await printedBy(commandsUnder("### Different"), surroundings);
    assert.equal(printed.length, 3);
    assert.match(printed[2]!, /^1 sessions? with 15 events .* copied to /);
    const again = await printedBy([whileItRuns![1]!.command], surroundings);
    assert.match(again[0]!, /^0 sessions with 0 events .*; 2 were there already\n/);
    const [some] = await printedBy(commandsUnder("### What it does"), surroundings);
    assert.match(some!, / copied to .*claude\.db; 0 were there already\n/);
  });

  test("exports and imports, the very file that it shows too, and names a line that was changed", async (t) => {
    const { cwd } = await filled(t);
    const [around] = shownUnder("## Export and import");
    await checkPrinted(around!, { cwd });
    const [text] = blocks(section(page, "### The file"), "jsonl");
    writeFileSync(join(cwd, "s1.jsonl"), text!);
    const [wrong] = shownUnder("### What import checks");
    await checkPrinted(wrong!, { cwd });
    assert.equal((await run(["import", "s1.jsonl", "--store", "s1.db", "--yes"], { cwd })).code, 0);
    assert.equal((await run(["export", "--store", "s1.db"], { cwd })).stdout, text);
  });

  test("makes the tables of a pasted driver ready", async (t) => {
    const cwd = directory(t);
    const filename = join(cwd, "old.db");
    const tables = `CREATE TABLE sessions (${SESSIONS_0_4}); CREATE TABLE events (${EVENTS_TEXT})`;
    asOwner(filename, (database) => database.exec(tables));
    const [plan, done] = await printedBy(commandsUnder("### Drivers of your own"), { cwd });
    assert.match(plan!, /ALTER TABLE "sessions" ADD COLUMN/);
    assert.match(done!, /^the tables of .*old\.db are ready$/);
    const driver = new SQLiteSessionPersistDriver({ filename, migrate: false });
    await driver.ready();
    await driver.close();
  });
});
