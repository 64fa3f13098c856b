/** Keeping stores small, copying and watching them: how quick each is, and what it costs those who write meanwhile. */
import { withFile } from "./file.mts";
import { alternate, median, runSide, SECONDS, type Figures } from "./measure.mts";
import { fill, withSchema, withServer, type Bench } from "./postgres-server.mts";
import { say, spread, table, wanted } from "./report.mts";

type Words = (string | number)[];
type Run = (side: string, name: string, ...rest: Words) => Promise<Figures>;

/** A kind of store, and how a fresh one is made. */
interface Store {
  label: string;
  /** Runs `work` on an empty store. */
  fresh<R>(work: (run: Run) => Promise<R>): Promise<R>;
  /** Runs `work` on a store with so many events of the session "history". */
  filled<R>(events: number, work: (run: Run) => Promise<R>): Promise<R>;
}

const SQLITE: Store = {
  label: "SQLite",
  fresh: (work) => withFile((file) => work((side, name, ...rest) => runSide(["sqlite", side, name, file, ...rest]))),
  filled: (events, work) =>
    SQLITE.fresh(async (run) => {
      await run("ours", "fill", events, "normal");
      return work(run);
    }),
};

function postgres(bench: Bench): Store {
  const withTables = <R,>(work: (schema: string, run: Run) => Promise<R>) =>
    withSchema(bench, (schema) =>
      work(schema, (side, name, ...rest) => runSide(["postgres", side, name, schema, ...rest], bench.environment)),
    );
  return {
    label: "Postgres",
    fresh: (work) => withTables((_, run) => work(run)),
    filled: (events, work) =>
      withTables(async (schema, run) => {
        await run("ours", "fill", 0);
        await fill(bench, schema, events);
        return work(run);
      }),
  };
}

const COMPACTED = 200_000;
/** What is wanted, of each store: events a second. */
const COMPACTION = { SQLite: 200_000, Postgres: 60_000 };
/** What is to be left, in percent. */
const LEFT = { prose: { rows: 5, bytes: 15 }, mixed: { rows: 42, bytes: 100 } };

async function compaction(stores: Store[]): Promise<void> {
  const rows: string[][] = [];
  for (const { label, fresh } of stores) {
    const transcripts = ["prose", "mixed"] as const;
    const all = await alternate(transcripts, (name) => fresh((run) => run("ours", "compact", name, COMPACTED)));
    for (const name of transcripts) {
      const figures = all[name];
      const left = (what: "rows" | "bytes") => {
        const met = Math.round(median(figures, what)) <= LEFT[name][what];
        const target = LEFT[name][what] < 100 ? ` (${wanted(met, `at most ${LEFT[name][what]}%`)})` : "";
        return `${median(figures, what).toFixed(1)}%${target}`;
      };
      const least = COMPACTION[label as keyof typeof COMPACTION];
      const target = wanted(median(figures, "perSecond") >= least, least.toLocaleString("en-US"));
      rows.push([label, name, left("rows"), left("bytes"), `${spread(figures, "perSecond")} (${target})`]);
    }
  }
  say(`### Compacting a session of ${COMPACTED.toLocaleString("en-US")} events`);
  say("");
  say("*prose*: 97 of 100 events are chunks of 3 to 12 characters. *mixed*: 60 of 100, in runs of 30.");
  say("");
  table(["store", "transcript", "rows left", "bytes left", "events a second"], rows);
}

const PRUNED = 1_000_000;

async function beside(stores: Store[]): Promise<void> {
  const rows: string[][] = [];
  for (const { label, filled } of stores) {
    const names = label === "SQLite" ? (["prune", "backup"] as const) : (["prune"] as const);
    const all = await alternate(names as readonly ("prune" | "backup")[], (name) =>
      filled(PRUNED, (run) => run("ours", name)),
    );
    for (const name of names) {
      const figures = all[name];
      const longer = median(figures, "worst") - median(figures, "worstAlone");
      const target = name === "prune" ? ` (${wanted(longer <= 50, "at most 50 ms longer")})` : "";
      rows.push([
        label,
        name,
        spread(figures, "seconds", 1),
        `${spread(figures, "worst")}; alone ${spread(figures, "worstAlone")}${target}`,
        `${spread(figures, "p99", 1)}; alone ${spread(figures, "p99Alone", 1)}`,
        `${spread(figures, "perSecond")}; alone ${spread(figures, "perSecondAlone")}`,
      ]);
    }
  }
  say(`### Pruning and backing up ${PRUNED.toLocaleString("en-US")} events beside 32 writers`);
  say("");
  say("All but 50 events of a session are pruned; all is backed up. The writers write as fast as they can.");
  say("");
  table(["store", "", "takes, s", "a writer's longest wait, ms", "p99, ms", "events a second that they write"], rows);
}

async function caps(stores: Store[]): Promise<void> {
  const rows: string[][] = [];
  for (const { label, fresh } of stores) {
    for (const sessions of [1, 32, 512]) {
      const all = await alternate(["ours", "capped"] as const, (side) =>
        fresh((run) => run(side, "insert-at-cap", sessions, SECONDS)),
      );
      const share = (median(all.capped, "perSecond") / median(all.ours, "perSecond")) * 100;
      rows.push([
        label,
        String(sessions),
        spread(all.ours, "perSecond"),
        `${spread(all.capped, "perSecond")}: ${share.toFixed(0)}% (${wanted(share >= 90, "at least 90%")})`,
      ]);
    }
  }
  say("### Sessions that are at their cap of 500 events, events a second");
  say("");
  table(["store", "sessions", "without a cap", "with it"], rows);
}

async function watching(stores: Store[]): Promise<void> {
  const rows: string[][] = [];
  const calls: string[][] = [];
  for (const { label, fresh, filled } of stores) {
    const all = await alternate(["insert-warm", "insert-watched", "insert-traced"] as const, (name) =>
      fresh((run) => run("ours", name, 32, SECONDS)),
    );
    rows.push([
      label,
      spread(all["insert-warm"], "perSecond"),
      spread(all["insert-watched"], "perSecond"),
      spread(all["insert-traced"], "perSecond"),
    ]);
    await filled(PRUNED, async (run) => {
      const { stats } = await alternate(["stats"] as const, (name) => run("ours", name));
      calls.push([label, spread(stats, "first", 1), spread(stats, "median", 2), spread(stats, "longest", 1)]);
    });
  }
  say("### What it costs to watch, 32 sessions, events a second");
  say("");
  table(["store", "nobody", "`stats()` each second", "a subscriber of each insert"], rows);
  say(`### \`stats()\` of ${PRUNED.toLocaleString("en-US")} events, ms`);
  say("");
  table(["store", "first", "median", "longest of 100"], calls);
}

const ADOPTED = 200_000;

async function rebuilding(stores: Store[]): Promise<void> {
  const rows: string[][] = [];
  for (const { label, fresh } of stores) {
    const { rebuilt } = await alternate(["rebuilt"] as const, () =>
      fresh(async (run) => {
        await run("pasted", "fill", 0);
        await run("ours", "fill", ADOPTED, "normal");
        const adopted = await run("ours", "insert-warm", 32, SECONDS);
        const { seconds } = await run("ours", "rebuild");
        const after = await run("ours", "insert-warm", 32, SECONDS);
        return { adopted: adopted["perSecond"]!, seconds: seconds!, rebuilt: after["perSecond"]! };
      }),
    );
    rows.push([label, spread(rebuilt, "adopted"), spread(rebuilt, "rebuilt"), spread(rebuilt, "seconds", 1)]);
  }
  say(`### Rebuilding a pasted driver's table of ${ADOPTED.toLocaleString("en-US")} events`);
  say("");
  table(["store", "adopted, events a second with 32 sessions", "rebuilt", "takes, s"], rows);
}

/** Runs all of it. */
export function benchOperations(): Promise<void> {
  return withServer(async (bench) => {
    const stores = [SQLITE, postgres(bench)];
    say("## Keeping stores small, and watching them");
    say("");
    await compaction(stores);
    await caps(stores);
    await beside(stores);
    await watching(stores);
    await rebuilding(stores);
  });
}
