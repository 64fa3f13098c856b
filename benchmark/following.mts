/** Following sessions: how late an event comes, what followers cost the writers, and what they cost while nothing comes. */
import { withDelay } from "./delay.mts";
import { withFile } from "./file.mts";
import { alternate, median, roundTrips, runSide, runTogether, SECONDS, type Figures } from "./measure.mts";
import { withSchema, withServer, type Bench } from "./postgres-server.mts";
import { distance, say, spread, table, wanted } from "./report.mts";

type Words = (string | number)[];

/** Where the sides are. */
interface Store {
  label: string;
  /** Runs sides, each of another case, at once on a fresh file or schema; gives what each printed. */
  run(...sides: Words[]): Promise<Figures[]>;
}

const SQLITE: Store = {
  label: "SQLite",
  run: (...sides) =>
    withFile((file) => runTogether(sides.map(([name, ...rest]) => ["sqlite", "ours", name!, file, ...rest]))),
};

function postgres(bench: Bench, label: string, environment = bench.environment): Store {
  return {
    label,
    run: (...sides) =>
      withSchema(bench, (schema) =>
        runTogether(
          sides.map(([name, ...rest]) => ["postgres", "ours", name!, schema, ...rest]),
          environment,
        ),
      ),
  };
}

/** Events a second, of all sessions together. */
const RATE = 200;

/** What the median may be where the store is near, in ms. */
const WANTED = { "the same process": 5, "another process": 30 };

async function latencies({ label, run }: Store, isNear: boolean): Promise<string[][]> {
  const rows: string[][] = [];
  for (const followers of [1, 100, 1000]) {
    const writers = {
      "the same process": () => run(["follow-own", followers, RATE, SECONDS]),
      "another process": () => run(["follow", followers, RATE * SECONDS], ["write-paced", followers, RATE, SECONDS]),
    };
    const names = ["the same process", "another process"] as const;
    const all = await alternate(names, async (name) => (await writers[name]())[0]!);
    for (const name of names) {
      const met = median(all[name], "median") < WANTED[name];
      const target = isNear ? ` (${wanted(met, `under ${WANTED[name]}`)})` : "";
      rows.push([
        label,
        followers.toLocaleString("en-US"),
        name,
        `${spread(all[name], "median", 1)}${target}`,
        spread(all[name], "p99", 1),
      ]);
    }
  }
  return rows;
}

async function latency(bench: Bench): Promise<void> {
  const rows = [...(await latencies(SQLITE, true)), ...(await latencies(postgres(bench, "Postgres"), true))];
  for (const milliseconds of roundTrips([10])) {
    await withDelay(bench.environment, milliseconds, async ({ environment, ping }) => {
      const label = `Postgres, round trip ${distance(milliseconds, ping)}`;
      rows.push(...(await latencies(postgres(bench, label, environment), false)));
    });
  }
  say("### How late an event comes, in ms");
  say("");
  say(
    "From the call of `insertEvent` to the consumer of `tailEvents`, the commit in between. " +
      `${RATE} events a second, each of`,
  );
  say("another session by turns; each session has one follower.");
  say("");
  table(["store", "followers", "written by", "median", "p99"], rows);
}

async function costOfFollowers(stores: Store[]): Promise<void> {
  const rows: string[][] = [];
  for (const { label, run } of stores) {
    const insert = (followers: number, follows: "theirs" | "others"): Words => [
      "insert-followed",
      32,
      SECONDS,
      followers,
      follows,
    ];
    const cases = {
      "no followers": () => run(insert(0, "others")),
      "100 that wait for other sessions": () => run(insert(100, "others")),
      "32 in another process, one a session": () => run(insert(0, "others"), ["follow-for", 32, 32, SECONDS]),
      "100 in another process, three a session": () => run(insert(0, "others"), ["follow-for", 32, 100, SECONDS]),
      "100 in this process, three a session": () => run(insert(100, "theirs")),
    };
    const names = Object.keys(cases) as (keyof typeof cases)[];
    const all = await alternate(names, async (name) => {
      const printed = await cases[name]();
      return { ...printed[0]!, delivered: (printed.at(-1)!["came"] ?? 0) / SECONDS };
    });
    const alone = median(all["no followers"], "perSecond");
    for (const name of names) {
      const part = median(all[name], "perSecond") / alone;
      const target = name.includes("wait") ? ` (${wanted(part >= 0.95, "at least 95%")})` : "";
      rows.push([
        label,
        name,
        spread(all[name], "perSecond"),
        `${Math.round(part * 100)}%${target}`,
        spread(all[name], "delivered"),
      ]);
    }
  }
  say("### What followers cost the writers");
  say("");
  say(
    "32 sessions write flat out on 2 cores, which the followers share: an event for each of three followers is three",
  );
  say("events for JavaScript to parse and hand out.");
  say("");
  table(["store", "followers", "inserts a second", "of those without", "events a second that came to them"], rows);
}

async function costOfWaiting(bench: Bench, server: Store): Promise<void> {
  const seconds = SECONDS * 3;
  const measure = async (store: Store, drivers: number, followers: number) =>
    (
      await alternate(["idle"] as const, async () => {
        const pid = store === SQLITE ? 0 : bench.postgres.pid;
        return (await store.run(["idle", drivers, followers, seconds, pid]))[0]!;
      })
    ).idle;
  const rows: string[][] = [];
  for (const store of [SQLITE, server]) {
    const figures = await measure(store, 1, 200);
    const percent = `${spread(figures, "percent", 2)} (${wanted(median(figures, "percent") < 1, "under 1")})`;
    rows.push([
      `${store.label}, one driver with 200 followers`,
      percent,
      store === SQLITE ? "" : spread(figures, "serverPercent", 2),
    ]);
  }
  const many = await measure(server, 50, 4);
  rows.push([
    `${server.label}, 50 drivers with 4 followers each`,
    spread(many, "percent", 2),
    `${spread(many, "serverPercent", 2)} (${wanted(median(many, "serverPercent") < 5, "under 5")})`,
  ]);
  say("### What followers cost while nothing comes, in percent of a core");
  say("");
  table(["", "their process", "the server"], rows);
}

/** Runs all of it. */
export function benchFollowing(): Promise<void> {
  return withServer(async (bench) => {
    say("## Following sessions");
    say("");
    const near = postgres(bench, "Postgres");
    await latency(bench);
    await costOfFollowers([SQLITE, near]);
    await costOfWaiting(bench, near);
  });
}
