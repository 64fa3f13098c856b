/** Durable inserts into a Postgres that is some way off: this driver beside one on `pg`. `run.mts` runs it. */
import { startPgBouncer } from "../__test__/support/postgres/pgbouncer.mts";
import type { Bars } from "./chart.mts";
import { withDelay, type FarServer } from "./delay.mts";
import { runFleet } from "./fleet.mts";
import { alternate, median, roundTrips, runSide, SECONDS, type Figures } from "./measure.mts";
import {
  checkStored,
  POSTGRES_SIDES as SIDES,
  withSchema,
  withServer,
  type Bench,
  type PostgresSide,
} from "./postgres-server.mts";
import { atMost, distance, ratio, say, spread, table } from "./report.mts";

/** How far the server is, in ms. */
const ROUND_TRIPS = roundTrips([0, 0.5, 1, 2, 5, 10, 30]);
const SESSIONS = [1, 8, 32, 128];
/** A latency needs fewer seconds than a rate. */
const WINDOW = SECONDS / 2;

type Sides = Record<PostgresSide, Figures[]>;

/** Inserts a second beside pasted, and latency beside one session alone. */
interface Target {
  overPasted?: number;
  timesAlone?: number;
}

/** What the project set out to reach with so many sessions. */
function targetOf(milliseconds: number, sessions: number): Target {
  if (milliseconds === 0) return sessions === 32 ? { overPasted: 5 } : {};
  if (sessions === 128) return { timesAlone: 1.5 };
  const timesAlone = milliseconds <= 1 ? 1.3 : 1.15;
  if (sessions === 8) return { overPasted: 1, timesAlone };
  return { timesAlone, ...(milliseconds >= 1 && { overPasted: 2.5 }) };
}

/** All numbers of sessions one after another, in one process a side and round. */
function insertEach(bench: Bench, { environment }: FarServer): Promise<Sides> {
  return alternate(SIDES, (name) =>
    withSchema(bench, async (schema) => {
      const figures = await runSide(["postgres", name, "insert-each", schema, WINDOW, ...SESSIONS], environment);
      await checkStored(bench, schema, [figures]);
      return figures;
    }),
  );
}

function row(
  labels: string[],
  all: Sides,
  [perSecond, latency]: [string, string],
  alone: number,
  target: Target,
): string[] {
  const over = median(all.ours, perSecond) / median(all.pasted, perSecond);
  const times = median(all.ours, latency) / alone;
  return [
    ...labels,
    ...SIDES.map((name) => spread(all[name], perSecond)),
    target.overPasted === undefined ? `${over.toFixed(1)}x` : ratio(over, target.overPasted),
    ...SIDES.map((name) => spread(all[name], latency, 1)),
    target.timesAlone === undefined ? `${times.toFixed(2)}x` : atMost(times, target.timesAlone, 2),
  ];
}

const COLUMNS = ["ours", "pasted", "ours / pasted", "ours, ms", "pasted, ms", "ours, times one session alone"];

/** The latency of one session alone, which depends on the network and the disk only. */
function aloneOf(all: Sides): number {
  return median(all.ours, "1 latency");
}

function rowsOf(label: string, all: Sides, milliseconds: number): string[][] {
  return SESSIONS.map((sessions) =>
    row(
      [label, String(sessions)],
      all,
      [`${sessions} perSecond`, `${sessions} latency`],
      aloneOf(all),
      sessions === 1 ? {} : targetOf(milliseconds, sessions),
    ),
  );
}

async function direct(bench: Bench): Promise<Bars[]> {
  const rows: string[][] = [];
  const bars: Bars[] = [];
  for (const milliseconds of ROUND_TRIPS) {
    await withDelay(bench.environment, milliseconds, async (far) => {
      const all = await insertEach(bench, far);
      rows.push(...rowsOf(distance(milliseconds, far.ping), all, milliseconds));
      bars.push({
        label: milliseconds === 0 ? "on this machine" : `${milliseconds} ms away`,
        values: SIDES.map((side) => ({ side, value: median(all[side], "8 perSecond") })),
      });
    });
  }
  say("### Durable inserts, events a second, and the median time of one");
  say("");
  say("![Durable inserts of 8 sessions, with Postgres far and near](benchmark-network.svg)");
  say("");
  table(["round trip (ping)", "sessions", ...COLUMNS], rows);
  return bars;
}

async function throughPgBouncer(bench: Bench): Promise<void> {
  const pooler = await startPgBouncer(bench.postgres, ["default_pool_size = 20"]);
  try {
    const server = { ...bench.environment, PGPORT: String(pooler.port) };
    const rows: string[][] = [];
    for (const milliseconds of ROUND_TRIPS.filter((far) => far === 1 || far === 10)) {
      await withDelay(server, milliseconds, async (far) => {
        rows.push(...rowsOf(distance(milliseconds, far.ping), await insertEach(bench, far), milliseconds));
      });
    }
    say("### The same through PgBouncer");
    say("");
    say("In transaction mode, with the 20 connections that it has by default. The network is before PgBouncer.");
    say("");
    table(["round trip (ping)", "sessions", ...COLUMNS], rows);
  } finally {
    await pooler.cleanup();
  }
}

async function fleets(bench: Bench): Promise<void> {
  const [milliseconds, sessions] = [1, 8];
  await withDelay(bench.environment, milliseconds, async (far) => {
    const rows: string[][] = [];
    let alone: number | undefined;
    for (const processes of [1, 2, 8]) {
      const all = await alternate(SIDES, (name) =>
        runFleet(bench, far.environment, name, processes, processes === 1 ? 1 : sessions, WINDOW),
      );
      alone ??= median(all.ours, "medianLatency");
      const label = processes === 1 ? "1 with 1 session" : `${processes} with ${sessions} sessions each`;
      const target = processes === 1 ? {} : targetOf(milliseconds, sessions);
      rows.push(row([label], all, ["perSecond", "medianLatency"], alone, target));
    }
    say(`### Several processes on one server, ${distance(milliseconds, far.ping)} away`);
    say("");
    table(["processes", ...COLUMNS], rows);
  });
}

/** Runs all of it; gives the bars of the chart. */
export function benchNetwork(): Promise<Bars[]> {
  return withServer(async (bench) => {
    say("## Postgres with a network between");
    say("");
    say(
      "Everything that goes to the server, and that comes from it, arrives half a round trip later; *ping* is what an",
    );
    say(
      "empty query took. Each session awaits every insert. A write that waits for no other's round trip takes as long",
    );
    say("with many sessions as with one alone.");
    say("");
    const bars = await direct(bench);
    await throughPgBouncer(bench);
    await fleets(bench);
    return bars;
  });
}
