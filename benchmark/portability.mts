/** The command line: how quickly it moves sessions out of stores and into others, and finds one among many. */
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

/** How each store is emptied: where it is, and for how long. */
type WithStore = <R>(work: (store: string) => Promise<R>) => Promise<R>;

/** What is moved, and where to. */
interface Moving {
  bench: Bench;
  /** The same sessions three times: in an SQLite file, in a schema, and in an archive. */
  file: string;
  schema: string;
  archive: string;
  events: number;
}

const withEmptyFile: WithStore = (work) => withFile(work);
const withEmptySchema = (bench: Bench): WithStore => {
  return (work) => withSchema(bench, (schema) => work(urlOf(schema)));
};

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
  // Each takes the place of the one before: a file that is cut short only then costs what it costs whoever has none.
  const out = (store: string) =>
    withFile((target) => run("export", "--store", store, "--output", target.replace(/\.db$/, ".jsonl")));
  return {
    "import into SQLite": () => into(withEmptyFile),
    "import into Postgres": () => into(withEmptySchema(bench)),
    "export from SQLite": () => out(file),
    "export from Postgres": () => out(urlOf(schema)),
    "copy from SQLite to SQLite": () => copy(file, withEmptyFile),
    "copy from SQLite to Postgres": () => copy(file, withEmptySchema(bench)),
    "copy from Postgres to SQLite": () => copy(urlOf(schema), withEmptyFile),
  };
}

type Command = keyof ReturnType<typeof commands>;

const TARGETS: Record<Command, number> = {
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
  const [ours, others] = await withSessions(bench, size, async (moving) => {
    const csv = (name: string) => `${moving.archive}.${name}.csv`;
    const rows: Rows = { sessions: csv("sessions"), events: csv("events"), count: moving.events };
    for (const name of ["sessions", "events"] as const) await writeCsv(moving.file, name, rows[name]);
    const own = commands(moving);
    const theirs = {
      "`.import` of sqlite3": programs.sqlite3 && (() => withFile((file) => importBySqlite3(file, rows))),
      "`\\copy` of psql": programs.psql && (() => withSchema(bench, (schema) => copyByPsql(bench, schema, rows))),
    };
    const there = Object.entries(theirs).flatMap(([name, once]) => (once ? [[name, once] as const] : []));
    const all = { ...own, ...Object.fromEntries(there) } as Record<string, () => Promise<Figures>>;
    const figures = await alternate(Object.keys(all), (name) => all[name]!());
    return [Object.keys(own) as Command[], there.map(([name]) => name)].map((names) =>
      names.map((name) => [name, figures[name]!] as const),
    ) as [(readonly [Command, Figures[]])[], (readonly [string, Figures[]])[]];
  });
  say(`### ${EVENTS.toLocaleString("en-US")} events in ${size.sessions.toLocaleString("en-US")} sessions`);
  say("");
  say(
    "*Import* checks the whole file and then stores it; *import* and *copy* read back what they have stored, and compare.",
  );
  say(
    "They write in transactions of about a megabyte, so that others may write meanwhile, each of them durable. Beside them:",
  );
  say("the same rows as CSV, loaded into the same tables with the same indexes at the same durability (WAL and");
  say(
    "`synchronous = FULL`; `synchronous_commit = on`), in one transaction, with nothing checked and nothing read back.",
  );
  say("");
  table(
    ["", "events a second", "most memory, MB"],
    [
      ...ours.map(([name, figures]) => {
        const target = TARGETS[name];
        const shown = wanted(median(figures, "perSecond") >= target, target.toLocaleString("en-US"));
        return [name, `${spread(figures, "perSecond")} (${shown})`, peak(figures)];
      }),
      ...others.map(([name, figures]) => [name, spread(figures, "perSecond"), ""]),
    ],
  );
}

/** Memory does not depend on who else runs: one run of each, those that are in nobody's way at once. */
async function memory(bench: Bench): Promise<void> {
  const large = 2 ** 22;
  const sizes: [string, Size][] = [
    [`one session of ${EVENTS.toLocaleString("en-US")} events`, { sessions: 1, events: EVENTS }],
    ["100 events of 4 MiB", { sessions: 1, events: 100, text: "=".repeat(large) }],
  ];
  const rows = new Map<Command, string[]>();
  for (const [, size] of sizes) {
    await withSessions(bench, size, async (moving) => {
      const all = Object.entries(commands(moving)) as [Command, () => Promise<Figures>][];
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

/** Runs all of it. */
export function benchPortability(): Promise<void> {
  return withServer(async (bench) => {
    const { rows } = await bench.client.query<{ server_version: string }>("SHOW server_version");
    const others = Object.values(programs).filter((version) => version !== undefined);
    say("## The command line");
    say("");
    say(`PostgreSQL ${rows[0]?.server_version}; beside: ${others.join("; ") || "neither sqlite3 nor psql is here"}.`);
    say("");
    await moving(bench);
    await memory(bench);
    await finding(bench);
  });
}
