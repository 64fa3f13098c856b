/** Several processes that write to one Postgres server at once. */
import type { ServerEnvironment } from "./delay.mts";
import { quantile, runSides, type Figures } from "./measure.mts";
import { checkStored, withTables, type Bench, type PostgresSide } from "./postgres-server.mts";

/** Inserts a second of all of them together, and how long one took, in ms. `environment` is where they find the server. */
export function runFleet(
  bench: Bench,
  environment: ServerEnvironment,
  name: PostgresSide,
  processes: number,
  sessions: number,
  seconds: number,
): Promise<Figures> {
  return withTables(bench, name, async (schema) => {
    const words = ["postgres", name, "insert-warm", schema, sessions, seconds];
    const printed = await runSides(processes, words, environment);
    await checkStored(bench, schema, printed);
    const latencies = printed.flatMap((figures) => figures.latencies);
    return {
      perSecond: printed.reduce((sum, figures) => sum + (figures["perSecond"] ?? Number.NaN), 0),
      medianLatency: quantile(latencies, 0.5) / 1000,
      p99Latency: quantile(latencies, 0.99) / 1000,
    };
  });
}
