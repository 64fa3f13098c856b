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

/** Something before a port of this machine that forwards what comes, half a round trip later. */
export async function startDelay(port: number, milliseconds: number): Promise<{ port: number; end(): Promise<void> }> {
  program ??= buildProgram("delay");
  const child = spawn(program, [String(port), String(milliseconds * 1000)], { stdio: ["pipe", "pipe", "inherit"] });
  const ended = once(child, "exit");
  const said = once(child.stdout, "data") as Promise<[Buffer]>;
  const [line] = await Promise.race([said, ended.then(() => Promise.reject(new Error("delay did not start")))]);
  return {
    ...(JSON.parse(line.toString()) as { port: number }),
    end: async () => {
      child.stdin.end();
      await ended;
    },
  };
}

/** Runs `work` with the server so many milliseconds away; at 0 nothing stands between. */
export async function withDelay<R>(
  server: ServerEnvironment,
  milliseconds: number,
  work: (far: FarServer) => Promise<R>,
): Promise<R> {
  if (milliseconds === 0) return work({ environment: server, ping: await ping(server) });
  const delay = await startDelay(Number(server.PGPORT), milliseconds);
  try {
    const environment = { ...server, PGPORT: String(delay.port) };
    return await work({ environment, ping: await ping(environment) });
  } finally {
    await delay.end();
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
