/** Very many writes at once: how long the event loop stands still while they are stored. `run.mts` runs it. */
import { withFile } from "./file.mts";
import { alternate, median, runSide } from "./measure.mts";
import { checkStored, withSchema, withServer } from "./postgres-server.mts";
import { say, spread, table, wanted } from "./report.mts";

const LONGEST_TURN = 20;

/** Runs all of it. */
export function benchBurst(): Promise<void> {
  return withServer(async (bench) => {
    const stores = {
      SQLite: (count: number) => withFile((file) => runSide(["sqlite", "ours", "burst", file, count])),
      Postgres: (count: number) =>
        withSchema(bench, async (schema) => {
          const figures = await runSide(["postgres", "ours", "burst", schema, count], bench.environment);
          await checkStored(bench, schema, [figures]);
          return figures;
        }),
    };
    const names = ["SQLite", "Postgres"] as const;
    const rows: string[][] = [];
    for (const count of [100_000, 400_000]) {
      const all = await alternate(names, (name) => stores[name](count));
      for (const name of names) {
        const longest = median(all[name], "longestTurn");
        rows.push([
          `${count.toLocaleString("en-US")}, ${name}`,
          spread(all[name], "perSecond"),
          `${spread(all[name], "longestTurn", 1)} (${wanted(longest <= LONGEST_TURN, `at most ${LONGEST_TURN}`)})`,
        ]);
      }
    }
    say("## Many writes at once");
    say("");
    say(
      "32 sessions, and nobody awaits a write before the last is made. Then the longest turn of the event loop until all",
    );
    say("are stored, in ms.");
    say("");
    table(["writes", "events a second", "longest turn"], rows);
  });
}
