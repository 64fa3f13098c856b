/** What the pages show of a shell, word by word: what README.md and docs/moving.md show of output too. */
import assert from "node:assert/strict";
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test, type TestContext } from "node:test";

import { SQLiteSessionPersistDriver } from "../index.js";
import { startServer as startAgentServer } from "./support/agent/server.mts";
import { run } from "./support/command-line.mts";
import { blocks, checkPrinted, commandsIn, printedBy, section } from "./support/console.mts";
import { directory } from "./support/directory.mts";
import { startServer as startPostgres } from "./support/postgres/server.mts";
import { runQuickStart } from "./support/quick-start.mts";
import { eventAt, sessionOf } from "./support/records.mts";
import { asOwner, EVENTS_TEXT, SESSIONS_0_4 } from "./support/sqlite/layouts.mts";
import { openPersist, type Persist, type Storage } from "./support/storage.mts";
import { path } from "./support/types/compiler.mts";

const skip = process.platform === "win32" && "the pages show a Unix shell";
const folder = mkdtempSync(join(tmpdir(), "shell-"));
after(() => rmSync(folder, { recursive: true, force: true }));
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

/** The commands that a page does not show the output of. Those that hand it to other programs are not run. */
function commandsOf(markdown: string): string[] {
  return blocks(markdown, "sh")
    .flatMap((block) => block.split("\n"))
    .filter((line) => line.startsWith("npx sandbox-agent-persist ") && !line.includes("|"));
}

async function insert(driver: Persist, id: string, from: number, through: number): Promise<void> {
  for (let index = from; index <= through; index += 1) await driver.insertEvent(id, eventAt(id, index));
}

/** What the pages take to be there. */
async function fill(storage: Storage): Promise<void> {
  const driver = openPersist(storage);
  for (const [id, events] of [
    ["my-session", 10],
    ["earlier", 5],
  ] as const) {
    await driver.updateSession(sessionOf(id));
    await insert(driver, id, 1, events);
  }
  await driver.close();
}

async function filled(t: TestContext) {
  const made = file(t);
  await fill(made.storage);
  return made;
}

describe("README.md", { skip, concurrency: true }, () => {
  const readme = readFileSync(path("README.md"), "utf8");
  const [shown] = blocks(section(readme, "## From a shell"), "console").map(commandsIn);
  /** What the quick start has left 40 days ago. */
  const monthOld = join(folder, "month-old.db");

  before(async () => {
    const storage: Storage = { driver: "SQLite", options: { filename: monthOld } };
    for (let run = 0; run < 2; run += 1) await runQuickStart({ storage, baseUrl: agents.baseUrl });
    const back = ["sessions", "events"].map((table) => `UPDATE ${table} SET created_at = created_at - 3456000000`);
    asOwner(monthOld, (database) => database.exec(back.join(";")));
  });

  test("finds an old session in a file, reads it, moves it to Postgres and prunes it", async (t) => {
    const { cwd, storage } = file(t);
    copyFileSync(monthOld, storage.options.filename);
    const { url, env } = await database();
    await checkPrinted(shown!, { cwd, env, instead: { "postgres://app@db.example.com/app": url } });
  });

  test("and the other way round", async (t) => {
    const { url, env } = await database();
    const filled = await run(["copy", monthOld, url, "--yes"], { env });
    assert.equal(filled.code, 0, filled.stderr);
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
  const commandsUnder = (heading: string) => commandsOf(section(page, heading));

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
    assert.match(again[0]!, /^0 sessions with 0 events .*; already there: 2\n/);
    const [some] = await printedBy(commandsUnder("### What it does"), surroundings);
    assert.match(some!, / copied to .*claude\.db; already there: 0\n/);
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

describe("other pages", { skip, concurrency: true }, () => {
  const asks = / (label|fork|delete|prune|compact|vacuum|migrate)(?!.* --(yes|dry-run|plan|sql))/;

  for (const name of ["sessions", "operations", "postgres"]) {
    test(`the commands of docs/${name}.md do what they are there for`, async (t) => {
      const { cwd } = await filled(t);
      const { storage, url, env: login } = await database();
      await fill(storage);
      const env = { ...login, ...(name === "postgres" && { SANDBOX_AGENT_PERSIST_URL: url }) };
      const commands = commandsOf(readFileSync(path(`docs/${name}.md`), "utf8"))
        // It goes on as long as its session.
        .filter((command) => !/ tail /.test(command))
        // There is nobody here to be asked.
        .map((command) => (asks.test(command) ? command.replace(asks, "$& --yes") : command));
      assert.ok(commands.length >= 3);
      const printed = await printedBy(
        commands.map((command) => `${command.split(" #")[0]}\necho "exit code $?"`),
        { cwd, env },
      );
      for (const [at, text] of printed.entries()) assert.match(text, /exit code 0$/, `${commands[at]}\n${text}`);
    });
  }
  test("errors are as docs/errors.md shows one", async (t) => {
    const { cwd } = await filled(t);
    await checkPrinted(commandsIn(blocks(readFileSync(path("docs/errors.md"), "utf8"), "console")[0]!), { cwd });
  });
});
