/** The Postgres half of the bench: this driver beside one on `pg`, on one server. `run.mts` runs it. */
import { Client } from "pg";

import { startPostgres } from "../__test__/support/postgres/embedded.mts";
import type { Bars } from "./chart.mts";
import { eventAt } from "./event.mts";
import { alternate, median, quantile, runSide, runSides, SECONDS, type Figures } from "./measure.mts";
import { ratio, say, spread, table, versionIn } from "./report.mts";

const SIDES = ["ours", "pasted"] as const;
type PostgresSide = (typeof SIDES)[number];

/** How many processes write to one server. */
const FLEET = 8;

/** The server, and the connection over which the bench itself talks to it. */
interface Bench {
  client: Client;
  /** Where the sides find the server. */
  environment: NodeJS.ProcessEnv;
}

let schemas = 0;

/** Runs `work` on a new schema, whose tables the side itself has made. */
async function withSchema<R>(bench: Bench, name: PostgresSide, work: (schema: string) => Promise<R>): Promise<R> {
  schemas += 1;
  const schema = `bench_${schemas}`;
  await side(bench, name, "fill", schema, 0);
  // What the last run left to be written back does not slow down this one.
  await bench.client.query("CHECKPOINT");
  try {
    return await work(schema);
  } finally {
    await bench.client.query(`DROP SCHEMA ${schema} CASCADE`);
  }
}

function side(bench: Bench, name: PostgresSide, caseName: string, schema: string, ...rest: number[]): Promise<Figures> {
  return runSide(["postgres", name, caseName, schema, ...rest], bench.environment);
}

/** A figure counts only if what it counts is there. */
async function checkStored({ client }: Bench, schema: string, printed: Figures[]): Promise<void> {
  const { rows } = await client.query<{ count: string }>(`SELECT count(*) FROM ${schema}.events`);
  const inserted = printed.reduce((sum, figures) => sum + (figures["events"] ?? Number.NaN), 0);
  if (Number(rows[0]?.count) !== inserted) {
    throw new Error(`${inserted} events were inserted, and ${rows[0]?.count} are stored`);
  }
}

async function inserts(bench: Bench): Promise<Bars[]> {
  const cases: [sessions: number, overPasted: number][] = [
    [1, 1],
    [32, 4],
    [512, 6],
  ];
  const rows: string[][] = [];
  const costs: string[][] = [];
  const delays: string[][] = [];
  const bars: Bars[] = [];
  for (const [sessions, overPasted] of cases) {
    const all = await alternate(SIDES, (name) =>
      withSchema(bench, name, async (schema) => {
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

async function fleets(bench: Bench): Promise<void> {
  const all = await alternate(SIDES, (name) =>
    withSchema(bench, name, async (schema) => {
      const words = ["postgres", name, "insert-with-latencies", schema, 32, SECONDS];
      const printed = await runSides(FLEET, words, bench.environment);
      await checkStored(bench, schema, printed);
      const latencies = printed.flatMap((figures) => figures.latencies);
      return {
        perSecond: printed.reduce((sum, figures) => sum + (figures.perSecond ?? 0), 0),
        medianLatency: quantile(latencies, 0.5) / 1000,
        p99Latency: quantile(latencies, 0.99) / 1000,
      };
    }),
  );
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

/** Fills a schema with a session of `events` events named "history", the same for both sides. */
async function fill({ client }: Bench, schema: string, events: number): Promise<void> {
  const { createdAt, connectionId, sender, payload } = eventAt("history", 0);
  await client.query(
    `INSERT INTO ${schema}.events (id, event_index, session_id, created_at, connection_id, sender, payload_json)
     SELECT gen_random_uuid(), number, 'history', $2::bigint + number, $3, $4,
       replace($5, 'chunk 0:', format('chunk %s:', number))::json
     FROM generate_series(1, $1::bigint) AS number`,
    [events, createdAt, connectionId, sender, JSON.stringify(payload)],
  );
  await client.query(`VACUUM (ANALYZE) ${schema}.events`);
  await client.query("CHECKPOINT");
}

async function scans(bench: Bench): Promise<void> {
  say("### Reading a session in pages of 500, in ms");
  say("");
  say("*parse* is `JSON.parse` alone of the same pages, from memory: the limit of a driver that gives values.");
  say("");
  const compared: string[][] = [];
  for (const [events, overPasted] of [
    [20_000, 15],
    [100_000, undefined],
  ] as const) {
    const all = await withSchema(bench, "ours", (ours) =>
      withSchema(bench, "pasted", async (pasted) => {
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
    compared.push([
      events.toLocaleString("en-US"),
      ...SIDES.map((name) => spread(all[name], "milliseconds")),
      overPasted === undefined ? `${times.toFixed(1)}x` : ratio(times, overPasted),
      spread(all.parse, "milliseconds"),
    ]);
  }
  table(["events", "ours", "pasted", "pasted / ours", "parse"], compared);
  say("Time a session, ours (wanted: linear):");
  say("");
  const rows: string[][] = [];
  for (const events of [10_000, 100_000, 1_000_000]) {
    const figures = await withSchema(bench, "ours", async (schema) => {
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
export async function benchPostgres(): Promise<Bars[]> {
  const { url, host, port, user, password, database, cleanup } = await startPostgres();
  const client = new Client({ connectionString: url });
  try {
    await client.connect();
    const environment = {
      PGHOST: host,
      PGPORT: String(port),
      PGUSER: user,
      PGPASSWORD: password,
      PGDATABASE: database,
    };
    const bench = { client, environment };
    const { rows } = await client.query<{ server_version: string }>("SHOW server_version");
    say("## Postgres");
    say("");
    say(
      `Beside pg ${versionIn("node_modules/pg")}, on PostgreSQL ${rows[0]?.server_version} with its defaults, on the same machine.`,
    );
    say("");
    const bars = await inserts(bench);
    await fleets(bench);
    await scans(bench);
    return bars;
  } finally {
    await client.end();
    await cleanup();
  }
}
