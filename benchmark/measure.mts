/** Takes the bench's figures: runs the sides, each in processes of its own, by turns. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

export const ROUNDS = Number(process.env["BENCH_ROUNDS"] ?? 5);
export const SECONDS = Number(process.env["BENCH_SECONDS"] ?? 2);

/** How far the server is put, in ms: `usual`, unless whoever runs the bench wants other distances. */
export function roundTrips(usual: number[]): number[] {
  return process.env["BENCH_ROUND_TRIPS"]?.split(",").map(Number) ?? usual;
}

export const root = fileURLToPath(new URL("..", import.meta.url));

export interface Figures {
  [name: string]: number;
}

/** What one process of a side printed; some cases add every call's time to their figures. */
export type Printed = Figures & { latencies: number[] };

/** Runs `side.mts` in so many processes, which begin together, and gives what each of them printed. */
export function runSides(
  processes: number,
  words: (string | number)[],
  environment?: NodeJS.ProcessEnv,
): Promise<Printed[]> {
  return runTogether(
    Array.from({ length: processes }, () => words),
    environment,
  );
}

/** The same for processes of different sides or cases. */
export async function runTogether(all: (string | number)[][], environment: NodeJS.ProcessEnv = {}): Promise<Printed[]> {
  const sides = all.map((words) => startSide(words.map(String), environment));
  try {
    const printed = Promise.all(sides.map((side) => side.printed));
    await Promise.race([Promise.all(sides.map((side) => side.ready)), printed]);
    for (const side of sides) side.begin();
    return await printed;
  } finally {
    // When one has failed, the others go on.
    for (const side of sides) side.kill();
  }
}

/** Runs one side of one case in a process of its own. */
export async function runSide(words: (string | number)[], environment?: NodeJS.ProcessEnv): Promise<Figures> {
  const [figures] = await runSides(1, words, environment);
  return figures!;
}

function startSide(words: string[], environment: NodeJS.ProcessEnv) {
  const script = join(root, "benchmark", "side.mts");
  const child = spawn(process.execPath, ["--import", "tsx", script, ...words], {
    cwd: root,
    env: { ...process.env, ...environment },
    stdio: ["pipe", "pipe", "inherit"],
  });
  let text = "";
  child.stdout.setEncoding("utf8").on("data", (part: string) => (text += part));
  // One that has failed does not read it.
  child.stdin.on("error", () => {});
  return {
    ready: once(child.stdout, "data"),
    begin: () => child.stdin.end(),
    kill: () => child.kill(),
    printed: once(child, "close").then(([code]) => {
      if (code !== 0) throw new Error(`side.mts ${words.join(" ")} ended with ${code}`);
      return JSON.parse(text.slice(text.indexOf("{"))) as Printed;
    }),
  };
}

/** Runs every side `ROUNDS` times, taking turns, and collects each side's figures. */
export async function alternate<Name extends string>(
  sides: readonly Name[],
  once: (side: Name) => Promise<Figures>,
): Promise<Record<Name, Figures[]>> {
  const all = Object.fromEntries(sides.map((name) => [name, []])) as unknown as Record<Name, Figures[]>;
  for (let round = 0; round < ROUNDS; round += 1) {
    for (const name of sides) all[name].push(await once(name));
  }
  return all;
}

export function median(figures: Figures[], name: string): number {
  const sorted = figures.map((figure) => figure[name] ?? Number.NaN).sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}

/** The time, or whatever it is, that so large a part of the values stays under. */
export function quantile(values: number[], part: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? Number.NaN;
}
