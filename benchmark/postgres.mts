/** The Postgres half of the bench: this driver beside one on `pg`, on one server. `run.mts` runs it. */
import type { Bars } from "./chart.mts";
import { runFleet } from "./fleet.mts";
import { alternate, median, runSide, SECONDS, type Figures } from "./measure.mts";
import {
  checkStored,
  fill,
  POSTGRES_SIDES as SIDES,
  withServer,
  withTables,
  type Bench,
  type PostgresSide,
} from "./postgres-server.mts";
import { atMost, ratio, say, spread, table, versionIn } from "./report.mts";

/** How many processes write to one server. */
const FLEET = 8;

function side(bench: Bench, name: PostgresSide, caseName: string, schema: string, ...rest: number[]): Promise<Figures> {
  return runSide(["postgres", name, caseName, schema, ...rest], bench.environment);
}

async function inserts(bench: Bench): Promise<Bars[]> {
  const cases: [sessions: number, overPasted: number][] = [
    [1, 1],
    [32, 5],
    [512, 6],
  ];
  const rows: string[][] = [];
  const costs: string[][] = [];
  const delays: string[][] = [];
  const bars: Bars[] = [];
  for (const [sessions, overPasted] of cases) {
    const all = await alternate(SIDES, (name) =>
      withTables(bench, name, async (schema) => {
        const figures = await side(bench, name, "insert", schema, sessions, SECONDS);
        await checkStored(bench, schema, [figures]);
        return figures;
      }),
    );
    const label = `${sessions} session${sessions > 1 ? "s" : ""}`;
    rows.push([
      label,
      ...SIDES.map((name) => spread(all[name], "perSecond")),
      ratio(median(all.ours, "perSecond") / median(all.pasted, "perSecond"), overPasted),
    ]);
    const cheaper = median(all.pasted, "cpu") / median(all.ours, "cpu");
    costs.push([
      label,
      ...SIDES.map((name) => spread(all[name], "cpu", 1)),
      sessions === 32 ? ratio(cheaper, 4) : `${cheaper.toFixed(1)}x`,
    ]);
    delays.push([
      label,
      ...SIDES.flatMap((name) => [spread(all[name], "delayP99", 1), spread(all[name], "delayMax", 1)]),
    ]);
    bars.push({
      label: `Postgres, ${label}`,
      values: SIDES.map((name) => ({ side: name, value: median(all[name], "perSecond") })),
    });
  }
  say("### Durable inserts, events a second");
  say("");
  say("Each session awaits every insert; events of about 440 bytes.");
  say("");
  table(["case", "ours", "pasted", "ours / pasted"], rows);
  say("### CPU time of the Node process, all its threads, in us an insert");
  say("");
  table(["case", "ours", "pasted", "pasted / ours"], costs);
  say("### Delay of the event loop while they write flat out, in ms");
  say("");
  say("Wanted at 32 sessions: p99 under 3.");
  say("");
  table(["case", "ours, p99", "ours, max", "pasted, p99", "pasted, max"], delays);
  return bars;
}

/** How many events each transaction of ours had. PostgreSQL keeps in every row which transaction inserted it. */
async function batches(bench: Bench): Promise<void> {
  const rows: string[][] = [];
  for (const sessions of [8, 32]) {
    await withTables(bench, "ours", async (schema) => {
      await side(bench, "ours", "insert", schema, sessions, SECONDS);
      const { rows: sizes } = await bench.client.query<{ size: number; share: number }>(
        `SELECT size::int, (count(*) / sum(count(*)) OVER ())::float8 AS share
         FROM (SELECT count(*) AS size FROM ${schema}.events GROUP BY xmin::text) GROUP BY size ORDER BY share DESC`,
      );
      const most = sizes.slice(0, 5).map(({ size, share }) => `${size} (${Math.round(share * 100)}%)`);
      rows.push([`${sessions} sessions`, most.join(", ")]);
    });
  }
  say("### Events in a transaction, ours: the commonest numbers, and their share of the transactions");
  say("");
  table(["case", "events"], rows);
}

async function fleets(bench: Bench): Promise<void> {
  const all = await alternate(SIDES, (name) => runFleet(bench, bench.environment, name, FLEET, 32, SECONDS));
  say(`### ${FLEET} processes with 32 sessions each`);
  say("");
  table(
    ["", ...SIDES, ""],
    [
      [
        "events a second",
        ...SIDES.map((name) => spread(all[name], "perSecond")),
        `${(median(all.ours, "perSecond") / median(all.pasted, "perSecond")).toFixed(1)}x`,
      ],
      ...(["medianLatency", "p99Latency"] as const).map((figure) => [
        `an insert, ${figure === "p99Latency" ? "p99" : "median"}, in ms`,
        ...SIDES.map((name) => spread(all[name], figure, 1)),
        `${(median(all.pasted, figure) / median(all.ours, figure)).toFixed(1)}x`,
      ]),
    ],
  );
}

async function scans(bench: Bench): Promise<void> {
  say("### Reading a session in pages of 500, in ms");
  say("");
  say("*parse* is `JSON.parse` alone of the same pages, from memory: the limit of a driver that gives values.");
  say("");
  const compared: string[][] = [];
  for (const events of [20_000, 100_000]) {
    const all = await withTables(bench, "ours", (ours) =>
      withTables(bench, "pasted", async (pasted) => {
        const schemaOf = { ours, pasted };
        for (const name of SIDES) await fill(bench, schemaOf[name], events);
        return alternate(["ours", "pasted", "parse"] as const, (name) =>
          name === "parse"
            ? side(bench, "ours", "parse", ours, events, 500)
            : scan(bench, name, schemaOf[name], events),
        );
      }),
    );
    const times = median(all.pasted, "milliseconds") / median(all.ours, "milliseconds");
    const timesParse = median(all.ours, "milliseconds") / median(all.parse, "milliseconds");
    compared.push([
      events.toLocaleString("en-US"),
      ...SIDES.map((name) => spread(all[name], "milliseconds")),
      `${times.toFixed(1)}x`,
      spread(all.parse, "milliseconds"),
      events === 20_000 ? atMost(timesParse, 1.25, 2) : `${timesParse.toFixed(2)}x`,
    ]);
  }
  table(["events", "ours", "pasted", "pasted / ours", "parse", "ours / parse"], compared);
  say("Time a session, ours (wanted: linear):");
  say("");
  const rows: string[][] = [];
  for (const events of [10_000, 100_000, 1_000_000]) {
    const figures = await withTables(bench, "ours", async (schema) => {
      await fill(bench, schema, events);
      return (await alternate(["ours"] as const, (name) => scan(bench, name, schema, events))).ours;
    });
    rows.push([
      events.toLocaleString("en-US"),
      spread(figures, "milliseconds"),
      `${((median(figures, "milliseconds") / events) * 1000).toFixed(2)} us`,
      `${spread(figures, "overIdle")} MB`,
    ]);
  }
  table(["events", "ms", "an event", "memory over idle"], rows);
}

async function scan(bench: Bench, name: PostgresSide, schema: string, events: number): Promise<Figures> {
  const figures = await side(bench, name, "scan", schema, 500);
  if (figures["events"] !== events) throw new Error(`${name} read ${figures["events"]} of ${events} events`);
  return figures;
}

/** Runs all of it; gives the bars of the chart. */
export function benchPostgres(): Promise<Bars[]> {
  return withServer(async (bench) => {
    const { rows } = await bench.client.query<{ server_version: string }>("SHOW server_version");
    say("## Postgres");
    say("");
    say(
      `Beside pg ${versionIn("node_modules/pg")}, on PostgreSQL ${rows[0]?.server_version} with its defaults, on the same machine.`,
    );
    say("");
    const bars = await inserts(bench);
    await batches(bench);
    await fleets(bench);
    await scans(bench);
    return bars;
  });
}
