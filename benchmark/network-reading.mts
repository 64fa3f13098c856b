/** Reading from a Postgres that is some way off: this driver beside one on `pg`. `run.mts` runs it. */
import { withDelay } from "./delay.mts";
import { alternate, median, roundTrips, runSide, SECONDS, type Figures } from "./measure.mts";
import {
  fill,
  POSTGRES_SIDES as SIDES,
  withServer,
  withTables,
  type Bench,
  type PostgresSide,
} from "./postgres-server.mts";
import { atMost, distance, say, spread, table, wanted } from "./report.mts";

const ROUND_TRIPS = roundTrips([0, 1, 10]);
const EVENTS = 10_000;
/** What `resumeSession` asks for. */
const LIMIT = 100;
const READERS = 8;

type SchemaOf = Record<PostgresSide, string>;

async function scans(bench: Bench, schemaOf: SchemaOf): Promise<void> {
  const parsed = await alternate(["parse"] as const, () =>
    runSide(["postgres", "ours", "parse", schemaOf.ours, EVENTS, LIMIT], bench.environment),
  );
  const parse = median(parsed.parse, "milliseconds");
  const rows: string[][] = [];
  for (const milliseconds of ROUND_TRIPS) {
    await withDelay(bench.environment, milliseconds, async ({ environment, ping }) => {
      const all = await alternate(SIDES, async (name) => {
        const figures = await runSide(["postgres", name, "scan", schemaOf[name], LIMIT], environment);
        if (figures["events"] !== EVENTS) throw new Error(`${name} read ${figures["events"]} of ${EVENTS} events`);
        return figures;
      });
      const ours = median(all.ours, "milliseconds");
      const target: Record<number, string> = {
        0: `${atMost(ours / parse, 1.25, 2)} of parse`,
        10: wanted(ours <= 250, "at most 250 ms"),
      };
      rows.push([
        distance(milliseconds, ping),
        ...SIDES.map((name) => spread(all[name], "milliseconds")),
        `${(median(all.pasted, "milliseconds") / ours).toFixed(1)}x`,
        target[milliseconds] ?? "",
      ]);
    });
  }
  say(`### A session of ${EVENTS.toLocaleString("en-US")} events in pages of ${LIMIT}, in ms`);
  say("");
  say(
    `\`resumeSession\` reads so, twice. *parse*, which is \`JSON.parse\` alone of these pages, takes ${parse.toFixed(0)} ms.`,
  );
  say("");
  table(["round trip (ping)", "ours", "pasted", "pasted / ours", ""], rows);
}

async function lookups(bench: Bench, schemaOf: SchemaOf): Promise<void> {
  const rows: string[][] = [];
  for (const milliseconds of ROUND_TRIPS) {
    await withDelay(bench.environment, milliseconds, async ({ environment, ping }) => {
      for (const readers of [0, READERS]) {
        const words = [readers, SECONDS / 2];
        const all = await alternate(SIDES, (name) =>
          runSide(["postgres", name, "lookup-while-scanning", schemaOf[name], ...words], environment),
        );
        const inMilliseconds = (figures: Figures[]) =>
          figures.map(({ median = Number.NaN, p99 = Number.NaN }) => ({ median: median / 1000, p99: p99 / 1000 }));
        rows.push([
          distance(milliseconds, ping),
          readers === 0 ? "alone" : `while ${readers} sessions are read`,
          ...(["median", "p99"] as const).flatMap((figure) =>
            SIDES.map((name) => spread(inMilliseconds(all[name]), figure, 2)),
          ),
        ]);
      }
    });
  }
  say("### `getSession`, in ms");
  say("");
  say("The SDK calls it after every update. It must not queue behind the pages of sessions that are read.");
  say("");
  table(["round trip (ping)", "", "ours, median", "pasted", "ours, p99", "pasted"], rows);
}

/** Runs all of it. */
export function benchNetworkReading(): Promise<void> {
  return withServer((bench) =>
    withTables(bench, "ours", (ours) =>
      withTables(bench, "pasted", async (pasted) => {
        const schemaOf = { ours, pasted };
        for (const name of SIDES) await fill(bench, schemaOf[name], EVENTS, READERS);
        say("## Reading with a network between");
        say("");
        await scans(bench, schemaOf);
        await lookups(bench, schemaOf);
      }),
    ),
  );
}
