/** A network between the bench's drivers and their server: starts `delay.rs`, and says what it makes of a round trip. */
import { spawn } from "node:child_process";
import { once } from "node:events";

import { Client } from "pg";

import { quantile } from "./measure.mts";
import { buildProgram } from "./program.mts";

/** What the `PG*` variables of a driver's process say. */
export type ServerEnvironment = Record<"PGHOST" | "PGPORT" | "PGUSER" | "PGPASSWORD" | "PGDATABASE", string>;

/** A server with a network before it. */
export interface FarServer {
  environment: ServerEnvironment;
  /** How long an empty query really takes, in ms. */
  ping: number;
}

let program: string | undefined;

/** Runs `work` with the server so many milliseconds away; at 0 nothing stands between. */
export async function withDelay<R>(
  server: ServerEnvironment,
  milliseconds: number,
  work: (far: FarServer) => Promise<R>,
): Promise<R> {
  if (milliseconds === 0) return work({ environment: server, ping: await ping(server) });
  program ??= buildProgram("delay");
  const child = spawn(program, [server.PGPORT, String(milliseconds * 1000)], { stdio: ["pipe", "pipe", "inherit"] });
  const ended = once(child, "exit");
  try {
    const [line] = (await Promise.race([once(child.stdout, "data"), ended.then(() => [""])])) as [Buffer | string];
    const { port } = JSON.parse(line.toString()) as { port: number };
    const environment = { ...server, PGPORT: String(port) };
    return await work({ environment, ping: await ping(environment) });
  } finally {
    child.stdin.end();
    await ended;
  }
}

async function ping({ PGHOST, PGPORT, PGUSER, PGPASSWORD, PGDATABASE }: ServerEnvironment): Promise<number> {
  const client = new Client({
    host: PGHOST,
    port: Number(PGPORT),
    user: PGUSER,
    password: PGPASSWORD,
    database: PGDATABASE,
  });
  await client.connect();
  const times: number[] = [];
  for (let call = 0; call < 30; call += 1) {
    const start = performance.now();
    await client.query("");
    // The first ones also warm up this process.
    if (call >= 10) times.push(performance.now() - start);
  }
  await client.end();
  return quantile(times, 0.5);
}
