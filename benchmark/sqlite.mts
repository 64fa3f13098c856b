/** The SQLite half of the bench: this driver beside two on better-sqlite3. `run.mts` runs it. */
import { execFileSync } from "node:child_process";
import { copyFileSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import Database from "better-sqlite3";

import { startServer } from "../__test__/support/agent/server.mts";
import type { Bars } from "./chart.mts";
import { alternate, median, runSide, SECONDS, type Figures } from "./measure.mts";
import { buildProgram } from "./program.mts";
import { atMost, ratio, say, spread, table, versionIn, wanted } from "./report.mts";
import type { Side } from "./side.mts";

/** The public class and the two baselines. */
type Baselined = Exclude<Side, "native">;

let directory: string;

function side(name: Side, caseName: string, file: string, ...rest: (string | number)[]): Promise<Figures> {
  return runSide(["sqlite", name, caseName, file, ...rest]);
}

function freshFile(): string {
  return join(mkdtempSync(join(directory, "case-")), "bench.db");
}

function versions(): string {
  const { sqlite } = new Database(":memory:").prepare("SELECT sqlite_version() AS sqlite").get() as { sqlite: string };
  return `better-sqlite3 ${versionIn("node_modules/better-sqlite3")} with SQLite ${sqlite}`;
}

/** The same inserts from Rust alone. */
function limitProgram(): (file: string, sessions: number, durability: string) => Figures {
  const program = buildProgram("limit");
  return (file, sessions, durability) =>
    JSON.parse(
      execFileSync(program, [file, String(sessions), String(SECONDS), durability], { encoding: "utf8" }),
    ) as Figures;
}

async function inserts(): Promise<Bars[]> {
  const limit = limitProgram();
  const cases: [sessions: number, durability: "full" | "normal", pasted: number, tuned: number][] = [
    [1, "full", 3, 0.85],
    [8, "full", 15, 3],
    [32, "full", 40, 7],
    [512, "full", 80, 12],
    [32, "normal", Number.NaN, 3],
  ];
  const rows: string[][] = [];
  const delays: string[][] = [];
  const bars: Bars[] = [];
  for (const [sessions, durability, overPasted, overTuned] of cases) {
    const sides = durability === "full" ? (["ours", "tuned", "pasted"] as const) : (["ours", "tuned"] as const);
    const all = await alternate<"ours" | "tuned" | "pasted" | "rust">([...sides, "rust"], async (name) => {
      const file = freshFile();
      const figures =
        name === "rust"
          ? limit(file, sessions, durability)
          : await side(name, "insert", file, sessions, SECONDS, durability);
      rmSync(join(file, ".."), { recursive: true });
      return figures;
    });
    const label = `${sessions} session${sessions > 1 ? "s" : ""}${durability === "normal" ? ", `normal`" : ""}`;
    const ours = median(all.ours, "perSecond");
    const partOfRust = Math.round((ours / median(all.rust, "perSecond")) * 100);
    rows.push([
      label,
      spread(all.ours, "perSecond"),
      spread(all.tuned, "perSecond"),
      ratio(ours / median(all.tuned, "perSecond"), overTuned),
      durability === "full" ? spread(all.pasted, "perSecond") : "",
      durability === "full" ? ratio(ours / median(all.pasted, "perSecond"), overPasted) : "",
      `${spread(all.rust, "perSecond")}: ours is ${partOfRust}%${sessions === 8 ? ` (${wanted(partOfRust >= 85, "85%")})` : ""}`,
    ]);
    delays.push([label, spread(all.ours, "delayP99", 1), spread(all.ours, "delayMax", 1)]);
    if (durability === "full") {
      bars.push({
        label: `SQLite, ${label}`,
        values: sides.map((name) => ({ side: name, value: median(all[name], "perSecond") })),
      });
    }
  }
  say("### Durable inserts, events a second");
  say("");
  say("Each session awaits every insert; events of about 440 bytes. `rust` is the same store without Node: the limit.");
  say("");
  table(["case", "ours", "tuned", "ours / tuned", "pasted", "ours / pasted", "rust"], rows);
  say("### Delay of the event loop while they write flat out, in ms");
  say("");
  say(
    "Wanted at 32 sessions: p99 under 3, max under 20; at 512: max under 60. Neither baseline lets the loop turn at all.",
  );
  say("");
  table(["case", "p99", "max"], delays);
  return bars;
}

/** What the methods in `lib/` cost beside the native class alone: it may be 2%. */
async function front(): Promise<void> {
  const all = await alternate(["ours", "native"] as const, async (name) => {
    const file = freshFile();
    const figures = await side(name, "insert", file, 512, SECONDS, "full");
    rmSync(join(file, ".."), { recursive: true });
    return figures;
  });
  say("### The public class beside the native one, 512 sessions");
  say("");
  say("Wanted: at most 2% more.");
  say("");
  const rows = (["ours", "native"] as const).map((name) => [
    name === "ours" ? "public class" : "native class alone",
    spread(all[name], "perSecond"),
    spread(all[name], "cpu", 2),
  ]);
  table(["", "inserts a second", "CPU an insert, us"], rows);
}

/** Files with a session of 100,000 events named "history", one a side, with the same events in the same order. */
async function histories(): Promise<Record<Baselined, string>> {
  const files = { ours: freshFile(), tuned: freshFile(), pasted: freshFile() };
  await side("ours", "fill", files.ours, 100_000, "normal");
  await side("tuned", "fill", files.tuned, 100_000, "normal");
  // The same tables; pasted would take minutes to fill them. Its journal is SQLite's default one.
  copyFileSync(files.tuned, files.pasted);
  const database = new Database(files.pasted);
  database.pragma("journal_mode = DELETE");
  database.close();
  return files;
}

/** One row of milliseconds: ours beside both baselines. */
function besideBaselines(all: Record<Baselined, Figures[]>, overTuned: number, overPasted: number): void {
  const ours = median(all.ours, "milliseconds");
  table(
    ["ours", "tuned", "tuned / ours", "pasted", "pasted / ours"],
    [
      [
        spread(all.ours, "milliseconds"),
        spread(all.tuned, "milliseconds"),
        ratio(median(all.tuned, "milliseconds") / ours, overTuned),
        spread(all.pasted, "milliseconds"),
        ratio(median(all.pasted, "milliseconds") / ours, overPasted),
      ],
    ],
  );
}

/** Reads all of the session. A figure counts only if all that is there was read. */
async function scan(name: Baselined, file: string, events: number): Promise<Figures> {
  const figures = await side(name, "scan", file, 500);
  if (figures["events"] !== events) throw new Error(`${name} read ${figures["events"]} of ${events} events`);
  return figures;
}

async function scans(files: Record<Baselined, string>): Promise<void> {
  const all = await alternate(["ours", "tuned", "pasted"] as const, (name) => scan(name, files[name], 100_000));
  say("### Reading a session of 100,000 events in pages of 500, in ms");
  say("");
  besideBaselines(all, 1.2, 6);
  say("Time a session, ours, and memory over idle while reading it (wanted: linear, and under 100 MB):");
  say("");
  const rows: string[][] = [];
  for (const events of [10_000, 100_000, 1_000_000]) {
    const file = freshFile();
    await side("ours", "fill", file, events, "normal");
    const figures = (await alternate(["ours"] as const, (name) => scan(name, file, events))).ours;
    rmSync(join(file, ".."), { recursive: true });
    rows.push([
      events.toLocaleString("en-US"),
      spread(figures, "milliseconds"),
      `${((median(figures, "milliseconds") / events) * 1000).toFixed(2)} us`,
      `${spread(figures, "overIdle")} MB`,
    ]);
  }
  table(["events", "ms", "an event", "memory over idle"], rows);
}

/** Several sessions beside one alone: reading ahead must not serve only the session that was read last. */
async function severalScans(): Promise<void> {
  const cases = [
    { label: "one alone", words: ["scan-in-turns", 1] },
    { label: "two, a page of each in turn", words: ["scan-in-turns", 2], timesAlone: 1.1 },
    { label: "eight at once", words: ["scan-at-once", 8] },
  ] as const;
  const sides = ["ours", "tuned"] as const;
  const files = { ours: freshFile(), tuned: freshFile() };
  for (const name of sides) await side(name, "fill", files[name], 20_000, 8, "normal");
  const rows: string[][] = [];
  let alone: number | undefined;
  for (const { label, words, ...target } of cases) {
    const [caseName, sessions] = words;
    const all = await alternate(sides, async (name) => {
      const figures = await side(name, caseName, files[name], 100, sessions);
      if (figures["events"] !== sessions * 20_000) throw new Error(`${name} read ${figures["events"]} events`);
      return figures;
    });
    const ours = median(all.ours, "anEvent");
    alone ??= ours;
    rows.push([
      label,
      ...sides.map((name) => spread(all[name], "anEvent", 2)),
      "timesAlone" in target ? atMost(ours / alone, target.timesAlone, 2) : `${(ours / alone).toFixed(2)}x`,
    ]);
  }
  say("### Reading several sessions of 20,000 events in pages of 100, in us an event");
  say("");
  table(["", "ours", "tuned", "ours, times one alone"], rows);
}

async function resumes(files: Record<Baselined, string>): Promise<void> {
  const server = await startServer();
  try {
    const all = await alternate(["ours", "tuned", "pasted"] as const, (name) =>
      side(name, "resume", files[name], server.baseUrl),
    );
    say("### The SDK's `resumeSession` of a session of 100,000 events, on the real server, in ms");
    say("");
    besideBaselines(all, 1.2, 10);
  } finally {
    await server.cleanup();
  }
}

async function lookups(): Promise<void> {
  const rows: string[][] = [];
  for (const writers of [0, 32]) {
    const { ours } = await alternate(["ours"] as const, (name) => side(name, "lookup", freshFile(), writers));
    rows.push([
      writers === 0 ? "alone" : `while ${writers} sessions write`,
      spread(ours, "median"),
      spread(ours, "p99"),
    ]);
  }
  say("### `getSession`, in us");
  say("");
  say("Wanted: a median under 100 alone, under 1,000 while 32 sessions write.");
  say("");
  table(["", "median", "p99"], rows);
}

/** Runs all of it; gives the bars of the chart. */
export async function benchSqlite(): Promise<Bars[]> {
  directory = mkdtempSync(join(tmpdir(), "sandbox-agent-persist-bench-"));
  try {
    say("## SQLite");
    say("");
    say(`Beside ${versions()}: the newest major version, 13, needs Node 22, and this package runs on 20 too.`);
    say("");
    const bars = await inserts();
    await front();
    const files = await histories();
    await scans(files);
    await severalScans();
    await resumes(files);
    await lookups();
    return bars;
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}
