/**
 * What users feel: agents stream on the real server, and listeners of the SDK hear it, with this driver, with the pasted
 * ones and with the SDK's own in memory. `run.mts` runs it.
 */
import { withDelay, type ServerEnvironment } from "./delay.mts";
import { withFile } from "./file.mts";
import { alternate, median, roundTrips, runSide, SECONDS, type Figures } from "./measure.mts";
import { POSTGRES_SIDES, withSchema, withServer, type Bench } from "./postgres-server.mts";
import { atMost, distance, say, spread, spreadOver, table } from "./report.mts";

/** An agent's updates a second where the server is far: a fast model's words. */
const RATE = 100;
const ROUND_TRIPS = roundTrips([1, 10, 30]);

const SIDES = ["in memory", "ours, SQLite", "pasted, SQLite", "ours, Postgres", "pasted, Postgres"] as const;
type Side = (typeof SIDES)[number];

/** The case `stream` of a side, on a fresh file or schema. */
function stream(
  bench: Bench,
  environment: ServerEnvironment,
  side: Side,
  ...numbers: [agents: number, rate: number, seconds: number]
): Promise<Figures> {
  if (side === "in memory") return runSide(["memory", "sdk", "stream", "none", ...numbers]);
  const [name = "", database] = side.split(", ");
  if (database === "Postgres") {
    return withSchema(bench, (schema) => runSide(["postgres", name, "stream", schema, ...numbers], environment));
  }
  return withFile((file) => runSide(["sqlite", name, "stream", file, ...numbers]));
}

/** The most that were lost in one run. */
function lost(figures: Figures[], name: string): string {
  return Math.max(...figures.map((one) => one[name] ?? Number.NaN)).toLocaleString("en-US");
}

/** What a side may have more than the one in memory, in ms and us. */
type Wanted = Partial<Record<"lateMedian" | "loopMax" | "cpu", number>>;

async function near(bench: Bench): Promise<void> {
  const seconds = SECONDS * 1.5;
  const cases: { agents: number; rate: number; wanted: Wanted }[] = [
    { agents: 16, rate: 100, wanted: { cpu: 45 } },
    { agents: 8, rate: 400, wanted: { lateMedian: 15, loopMax: 15 } },
  ];
  for (const { agents, rate, wanted } of cases) {
    const all = await alternate(SIDES, (side) => stream(bench, bench.environment, side, agents, rate, seconds));
    const rows = SIDES.map((side) => {
      const figures = all[side];
      const beside = (name: keyof Wanted) => {
        const target = side.startsWith("ours") ? wanted[name] : undefined;
        return target === undefined ? spread(figures, name, 1) : spreadOver(figures, name, all["in memory"], target);
      };
      return [
        side,
        beside("lateMedian"),
        spread(figures, "lateP99", 1),
        spread(figures, "lateMax", 1),
        spread(figures, "loopP99", 1),
        beside("loopMax"),
        beside("cpu"),
        lost(figures, "unstored"),
        lost(figures, "unheard"),
      ];
    });
    const updates = (agents * rate * seconds).toLocaleString("en-US");
    say(`### ${agents} agents with ${rate} updates a second each, for ${seconds} s`);
    say("");
    say(
      `Times in ms; +: more than in memory. Of the ${updates} updates, so many were not stored, or heard, in the worst run.`,
    );
    say("");
    table(
      ["", "late, median", "p99", "max", "loop held, p99", "max", "CPU an update, us", "not stored", "not heard"],
      rows,
    );
  }
}

async function far(bench: Bench): Promise<void> {
  const seconds = SECONDS / 2;
  const rows: string[][] = [];
  for (const milliseconds of ROUND_TRIPS) {
    await withDelay(bench.environment, milliseconds, async ({ environment, ping }) => {
      for (const agents of [1, 8]) {
        const all = await alternate(POSTGRES_SIDES, (name) =>
          stream(bench, environment, `${name}, Postgres`, agents, RATE, seconds),
        );
        const each = (show: (figures: Figures[]) => string) => POSTGRES_SIDES.map((name) => show(all[name]));
        rows.push([
          distance(milliseconds, ping),
          String(agents),
          ...each((figures) => spread(figures, "perSecond")),
          ...each((figures) => spread(figures, "lateMedian", 1)),
          atMost(median(all.ours, "lateMedian") / median(all.pasted, "lateMedian"), 1, 1),
          ...each((figures) => spread(figures, "lateMax", 1)),
          ...each((figures) => `${lost(figures, "unstored")}, ${lost(figures, "unheard")}`),
        ]);
      }
    });
  }
  say(`### With Postgres far away: agents with ${RATE} updates a second each, for ${seconds} s`);
  say("");
  say(
    "The SDK gives an update to its listeners once that is stored, and stores one of a session after another: a session",
  );
  say(
    "keeps up only with what the round trip lets it. *Lost* is what was never stored, and never heard, in the worst run.",
  );
  say("");
  const columns = ["updates a second a session", "late, ms"];
  table(
    [
      "round trip (ping)",
      "agents",
      ...columns.flatMap((column) => [`${column}: ours`, "pasted"]),
      "ours / pasted",
      "latest, ms: ours",
      "pasted",
      "lost: ours",
      "pasted",
    ],
    rows,
  );
}

/** Runs all of it. */
export function benchEndToEnd(): Promise<void> {
  return withServer(async (bench) => {
    say("## End to end, on the real server");
    say("");
    say(
      "Agents stream through one `SandboxAgent`, whose listeners hear each update once it is stored. *Late* is how long",
    );
    say("after the agent sent it; *loop held* is how long nothing else ran in the client's process.");
    say("");
    await near(bench);
    await far(bench);
  });
}
