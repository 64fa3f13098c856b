/**
 * `npm run bench`: this package's drivers beside the drivers that users write today, in one run on one machine.
 *
 * Every figure comes from a process of its own (`side.mts`) on a fresh file or schema; the sides take turns, `ROUNDS`
 * times. Prints medians and spread, and writes `docs/benchmark.md` and the README's chart, `docs/benchmark.svg`.
 * `BENCH_ONLY=sqlite` or `postgres` prints one half and writes nothing.
 */
import { writeFileSync } from "node:fs";
import { cpus, totalmem } from "node:os";
import { join } from "node:path";

import { chart } from "./chart.mts";
import { root, ROUNDS } from "./measure.mts";
import { benchPostgres } from "./postgres.mts";
import { page, say, versionIn } from "./report.mts";
import { benchSqlite } from "./sqlite.mts";

const only = process.env["BENCH_ONLY"];
if (only !== undefined && only !== "sqlite" && only !== "postgres") {
  throw new Error(`BENCH_ONLY is ${JSON.stringify(only)}: it may be sqlite, postgres, or absent`);
}

say("# Benchmark");
say("");
say("Written by `npm run bench`. *pasted* is what users paste into their projects today, *tuned* the best that a good");
say("engineer gets out of better-sqlite3 at the same durability; all stand in `benchmark/drivers/`.");
say(
  `Every figure is the median of ${ROUNDS} runs (lowest to highest), the sides taking turns, each in a process of its own.`,
);
say("*wanted* is what the project set out to reach.");
say("");
const gib = Math.round(totalmem() / 2 ** 30);
say(
  `sandbox-agent-persist ${versionIn()}, sandbox-agent ${versionIn("node_modules/sandbox-agent")}, ` +
    `Node ${process.version}. ${cpus().length} cores (${cpus()[0]?.model ?? "unknown"}), ${gib} GiB, ${process.platform} ${process.arch}.`,
);
say("");
const sqlite = only === "postgres" ? [] : await benchSqlite();
const postgres = only === "sqlite" ? [] : await benchPostgres();
if (only === undefined) {
  writeFileSync(join(root, "docs", "benchmark.md"), page());
  writeFileSync(
    join(root, "docs", "benchmark.svg"),
    chart("Durable inserts, events a second", "each session awaits every insert; longer is better", [
      ...sqlite,
      ...postgres,
    ]),
  );
}
