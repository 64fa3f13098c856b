/**
 * `npm run bench`: this package's drivers beside the drivers that users write today, in one run on one machine.
 *
 * Every figure comes from a process of its own on a fresh file or schema; the sides take turns, `BENCH_ROUNDS` times.
 * Prints medians and spread, and writes `docs/benchmark.md` and its charts. `BENCH_ONLY=sqlite,network` prints only these
 * parts and writes nothing; with `BENCH_ROUNDS=1` and `BENCH_ROUND_TRIPS=1,10` (ms, for what is measured over a network)
 * that gives a first impression soon.
 */
import { writeFileSync } from "node:fs";
import { cpus, totalmem } from "node:os";
import { join } from "node:path";

import { benchBurst } from "./burst.mts";
import { chart, type Bars } from "./chart.mts";
import { benchEndToEnd } from "./end-to-end.mts";
import { benchFollowing } from "./following.mts";
import { root, ROUNDS } from "./measure.mts";
import { benchNetworkReading } from "./network-reading.mts";
import { benchNetwork } from "./network.mts";
import { benchOperations } from "./operations.mts";
import { benchPortability } from "./portability.mts";
import { benchPostgres } from "./postgres.mts";
import { page, say, versionIn } from "./report.mts";
import { benchSessions } from "./sessions.mts";
import { benchSqlite } from "./sqlite.mts";

/** What there is to measure, in the order of the page. What has a chart gives its bars. */
const parts = {
  "end-to-end": benchEndToEnd,
  network: benchNetwork,
  "network-reading": benchNetworkReading,
  sqlite: benchSqlite,
  postgres: benchPostgres,
  burst: benchBurst,
  following: benchFollowing,
  sessions: benchSessions,
  operations: benchOperations,
  portability: benchPortability,
};
type Part = keyof typeof parts;
const names = Object.keys(parts) as Part[];

const only = process.env["BENCH_ONLY"]?.split(",");
const unknown = only?.find((name) => !names.includes(name as Part));
if (unknown !== undefined)
  throw new Error(`BENCH_ONLY names ${JSON.stringify(unknown)}: there are ${names.join(", ")}`);

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
const bars: Partial<Record<Part, Bars[] | void>> = {};
for (const name of names) {
  if (only && !only.includes(name)) continue;
  const start = performance.now();
  bars[name] = await parts[name]();
  // No part of the page.
  console.error(`${name} took ${Math.round((performance.now() - start) / 1000)} s`);
}
if (!only) {
  const write = (file: string, text: string) => writeFileSync(join(root, "docs", file), text);
  write("benchmark.md", page());
  const note = "each session awaits every insert; longer is better";
  write(
    "benchmark.svg",
    chart("Durable inserts, events a second", note, "all", [...(bars.sqlite ?? []), ...(bars.postgres ?? [])]),
  );
  write(
    "benchmark-network.svg",
    chart(
      "Durable inserts of 8 sessions, with Postgres far and near",
      "events a second; bars are comparable within one distance",
      "group",
      bars.network ?? [],
    ),
  );
}
