/** The command line: how quickly it moves sessions out of stores and into others, and finds one among many. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { runCommand, runLong, runProgram } from "./command.mts";
import { withFile } from "./file.mts";
import { fillFile, fillSchema, sessionAt, type Size, urlOf, writeCsv } from "./filled.mts";
import { alternate, median, ROUNDS, type Figures } from "./measure.mts";
import { copyByPsql, importBySqlite3, programs, type Rows } from "./other-programs.mts";
import { withSchema, withServer, type Bench } from "./postgres-server.mts";
import { say, spread, table, wanted } from "./report.mts";

/** How many events there are to move; fewer give a first impression. */
const EVENTS = Number(process.env["BENCH_EVENTS"] ?? 1_000_000);
/** Of each session. */
const LENGTH = 1_000;
/** How many times as many events there are where one session is looked for. */
const STORE = 5;
/** How many times a command that is over soon is run each round. */
const TIMES = 7;

/** What is wanted: events a second, MB, and ms. */
const WANTED = { intoSqlite: 150_000, intoPostgres: 60_000, export: 300_000, megabytes: 100, milliseconds: 150 };

/** Runs `work` with where an empty store is to be. */
type WithStore = <R>(work: (store: string) => Promise<R>) => Promise<R>;

/** What is moved, and where to. */
interface Moving {
  bench: Bench;
  /** As many sessions in an SQLite file, in a schema, and in an archive of the file. */
  file: string;
  schema: string;
  archive: string;
  events: number;
}

function withEmptySchema(bench: Bench): WithStore {
  return (work) => withSchema(bench, (schema) => work(urlOf(schema)));
}

/** What was written before does not slow down what is measured next, which may use the same disk. */
async function writeBack({ client }: Bench): Promise<void> {
  await client.query("CHECKPOINT");
  // Where there is no such program, it goes on beside.
  spawnSync("sync");
}

/** Fills stores in a directory that is there for `work` only. */
async function withSessions<R>(bench: Bench, size: Size, work: (moving: Moving) => Promise<R>): Promise<R> {
  const directory = mkdtempSync(join(tmpdir(), "sandbox-agent-persist-bench-"));
  const [file, archive] = [join(directory, "filled.db"), join(directory, "sessions.jsonl")];
  const events = size.sessions * size.events;
  try {
    return await withSchema(bench, async (schema) => {
      await Promise.all([fillFile(file, size), fillSchema(bench, schema, size)]);
      await runLong(["export", "--store", file, "--output", archive], events);
      return await work({ bench, file, schema, archive, events });
    });
  } finally {
    rmSync(directory, { recursive: true });
  }
}

/** What the commands do, by the names that the page has for it: events a second, and the memory of the process. */
function commands({ bench, file, schema, archive, events }: Moving) {
  const run = (...words: string[]) => runLong(words, events, bench.environment);
  const into = (withStore: WithStore) => withStore((store) => run("import", archive, "--store", store, "--yes"));
  const copy = (from: string, withStore: WithStore) => withStore((store) => run("copy", from, store, "--yes"));
  const out = (store: string) =>
    withFile((target) => run("export", "--store", store, "--output", target.replace(/\.db$/, ".jsonl")));
  return {
    "import into SQLite": () => into(withFile),
    "import into Postgres": () => into(withEmptySchema(bench)),
    "export from SQLite": () => out(file),
    "export from Postgres": () => out(urlOf(schema)),
    "copy from SQLite to SQLite": () => copy(file, withFile),
    "copy from SQLite to Postgres": () => copy(file, withEmptySchema(bench)),
    "copy from Postgres to SQLite": () => copy(urlOf(schema), withFile),
  };
}

const TARGETS: Record<string, number> = {
  "import into SQLite": WANTED.intoSqlite,
  "import into Postgres": WANTED.intoPostgres,
  "export from SQLite": WANTED.export,
  "export from Postgres": WANTED.export,
  "copy from SQLite to SQLite": WANTED.intoSqlite,
  "copy from SQLite to Postgres": WANTED.intoPostgres,
  "copy from Postgres to SQLite": WANTED.intoSqlite,
};

/** The most memory of all runs, beside what is wanted. */
function peak(figures: Figures[]): string {
  const most = Math.max(...figures.map((figure) => figure["megabytes"] ?? Number.NaN));
  return Number.isNaN(most)
    ? ""
    : `${most.toFixed(0)} (${wanted(most < WANTED.megabytes, `under ${WANTED.megabytes}`)})`;
}

async function moving(bench: Bench): Promise<void> {
  const size = { sessions: EVENTS / LENGTH, events: LENGTH };
  const figures = await withSessions(bench, size, async (moving) => {
    const csv = (name: string) => `${moving.archive}.${name}.csv`;
    const rows: Rows = { sessions: csv("sessions"), events: csv("events"), count: moving.events };
    for (const name of ["sessions", "events"] as const) await writeCsv(moving.file, name, rows[name]);
    const all: Record<string, () => Promise<Figures>> = commands(moving);
    if (programs.sqlite3) all["`.import` of sqlite3"] = () => withFile((file) => importBySqlite3(file, rows));
    if (programs.psql) all["`\\copy` of psql"] = () => withSchema(bench, (schema) => copyByPsql(bench, schema, rows));
    return alternate(Object.keys(all), async (name) => {
      await writeBack(bench);
      return all[name]!();
    });
  });
  say(`### ${EVENTS.toLocaleString("en-US")} events in ${size.sessions.toLocaleString("en-US")} sessions`);
  say("");
  say(
    "*import* checks the whole file before it stores anything; *import* and *copy* read back what they have stored, and",
  );
  say(
    "compare. They write at most four megabytes in a transaction, so that others may write meanwhile, and each is durable.",
  );
  say("Beside them the same rows as CSV are loaded into the same tables with the same indexes, as durably (WAL and");
  say(
    "`synchronous = FULL`; `synchronous_commit = on`), in one transaction; nothing is checked, and nothing read back.",
  );
  say("");
  table(
    ["", "events a second", "most memory, MB"],
    Object.entries(figures).map(([name, figures]) => {
      const target = TARGETS[name];
      if (target === undefined) return [name, spread(figures, "perSecond"), ""];
      const shown = wanted(median(figures, "perSecond") >= target, target.toLocaleString("en-US"));
      return [name, `${spread(figures, "perSecond")} (${shown})`, peak(figures)];
    }),
  );
}

/** Memory does not depend on who else runs: one run of each, those that are in nobody's way at once. */
async function memory(bench: Bench): Promise<void> {
  const large = 2 ** 22;
  const sizes: [string, Size][] = [
    [`one session of ${EVENTS.toLocaleString("en-US")} events`, { sessions: 1, events: EVENTS }],
    ["100 events of 4 MiB", { sessions: 1, events: 100, text: "=".repeat(large) }],
  ];
  const rows = new Map<string, string[]>();
  for (const [, size] of sizes) {
    await withSessions(bench, size, async (moving) => {
      const all = Object.entries(commands(moving));
      while (all.length > 0) {
        await Promise.all(
          all.splice(0, 2).map(async ([name, once]) => {
            rows.set(name, [...(rows.get(name) ?? []), peak([await once()])]);
          }),
        );
      }
    });
  }
  say("### The most memory, MB");
  say("");
  table(
    ["", ...sizes.map(([label]) => label)],
    [...rows].map(([name, cells]) => [name, ...cells]),
  );
}

async function finding(bench: Bench): Promise<void> {
  const size = { sessions: (EVENTS / LENGTH) * STORE, events: LENGTH };
  const stores = ["SQLite", "Postgres"] as const;
  const asked = ["sessions", "show --last 50"] as const;
  const nothing = "`node -e 0`";
  const id = sessionAt(Math.ceil(size.sessions / 2));
  const figures = await withFile((file) =>
    withSchema(bench, async (schema) => {
      await Promise.all([fillFile(file, size), fillSchema(bench, schema, size)]);
      const once: Record<string, () => Promise<Figures>> = {
        [nothing]: async () => {
          const { milliseconds } = await runProgram(process.execPath, ["-e", "0"]);
          return { milliseconds };
        },
      };
      for (const name of stores) {
        const store = name === "SQLite" ? file : urlOf(schema);
        const run = (...words: string[]) => runCommand([...words, "--store", store], bench.environment);
        once[`${name} sessions`] = () => run("sessions");
        once[`${name} show --last 50`] = () => run("show", id, "--last", "50");
      }
      // What is to be measured is not the first look at a file that was just written.
      for (const run of Object.values(once)) await run();
      const names = Array.from({ length: TIMES }, () => Object.keys(once)).flat();
      return alternate(names, (name) => once[name]!());
    }),
  );
  const shown = (name: string) => {
    const target = wanted(median(figures[name]!, "milliseconds") < WANTED.milliseconds, `under ${WANTED.milliseconds}`);
    return `${spread(figures[name]!, "milliseconds")} (${target})`;
  };
  const events = (EVENTS * STORE).toLocaleString("en-US");
  say(`### In a store of ${events} events, from start to end of the process, ms`);
  say("");
  say(`${TIMES * ROUNDS} times each. ${nothing}: ${spread(figures[nothing]!, "milliseconds")}.`);
  say("");
  const rows = asked.map((name) => [`\`${name}\``, ...stores.map((store) => shown(`${store} ${name}`))]);
  table(["", ...stores], rows);
}

/** Of a server on which nothing but reading is measured: it is filled several times as quickly. */
const FOR_READING = ["wal_level = minimal", "max_wal_senders = 0", "fsync = off"];

/** Runs all of it. */
export async function benchPortability(): Promise<void> {
  await withServer(async (bench) => {
    const { rows } = await bench.client.query<{ server_version: string }>("SHOW server_version");
    const others = [programs.sqlite3 && `sqlite3 ${programs.sqlite3.split(" ")[0]}`, programs.psql].filter(Boolean);
    say("## The command line");
    say("");
    say(`PostgreSQL ${rows[0]?.server_version}; beside: ${others.join(", ") || "neither sqlite3 nor psql is here"}.`);
    say("");
    await moving(bench);
    await memory(bench);
  });
  await withServer(finding, { settings: FOR_READING });
}
