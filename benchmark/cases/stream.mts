/** The case of `side.mts` in which agents stream on the real server: what a listener of the SDK feels. */
import { randomUUID } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";

import { SandboxAgent, type SessionEvent, type SessionPersistDriver } from "sandbox-agent";

import { startServer, type Server } from "../../__test__/support/agent/server.mts";
import { startDelay } from "../delay.mts";
import { quantile } from "../measure.mts";

/** What is not heard after such a silence, in ms, does not come: the server has dropped it. */
const SILENCE = 2000;

/** The server's agent `mock` is from now on the one that streams. */
function installAgent({ dataHome }: Server): void {
  const agent = fileURLToPath(new URL("agent.mjs", import.meta.url));
  const program = join(dataHome, "sandbox-agent", "bin", "agent_processes", "mock-acp");
  writeFileSync(program, `#!/bin/sh\nexec '${process.execPath}' '${agent}'\n`, { mode: 0o755 });
}

/** When the agent sent the update, in ms since 1970; nothing if the event is no update. */
function sentAt(event: SessionEvent): number | undefined {
  const { method, params } = event.payload as any;
  return method === "session/update" ? Number.parseFloat(params.update.content.text) : undefined;
}

async function countStored(driver: SessionPersistDriver, sessionId: string): Promise<number> {
  let count = 0;
  let cursor: string | undefined;
  do {
    const page = await driver.listEvents({ sessionId, limit: 500, cursor });
    count += page.items.filter((event) => sentAt(event) !== undefined).length;
    cursor = page.nextCursor;
  } while (cursor);
  return count;
}

/**
 * So many agents stream `rate` updates a second each, through one client. How late listeners hear them and how long the
 * loop stands still, in ms; how many updates a second a session had, the CPU time of one in us, and how many are gone.
 */
export async function stream(driver: SessionPersistDriver, agents: number, rate: number, seconds: number) {
  const server = await startServer();
  // The server waits for the word that a message has come before it sends the next short one. Without this between them,
  // that word takes 40 ms, and hides what the drivers do.
  const near = await startDelay(Number(new URL(server.baseUrl).port), 0);
  try {
    installAgent(server);
    const sdk = await SandboxAgent.connect({ baseUrl: `http://127.0.0.1:${near.port}`, persist: driver });
    const late: number[] = [];
    let heardAt = 0;
    const sessions = await Promise.all(
      Array.from({ length: agents }, () => sdk.createSession({ agent: "mock", id: randomUUID() })),
    );
    for (const session of sessions) {
      session.onEvent((event) => {
        const sent = sentAt(event);
        if (sent === undefined) return;
        heardAt = performance.now();
        late.push(performance.timeOrigin + heardAt - sent);
      });
    }

    const sent = agents * rate * seconds;
    const loop = monitorEventLoopDelay({ resolution: 1 });
    loop.enable();
    const cpuBefore = process.cpuUsage();
    const start = performance.now();
    await Promise.all(sessions.map((session) => session.prompt([{ type: "text", text: `${rate} ${seconds}` }])));
    do await delay(10);
    while (late.length < sent && performance.now() - Math.max(heardAt, start) < SILENCE);
    const { user, system } = process.cpuUsage(cpuBefore);
    loop.disable();

    const stored = await Promise.all(sessions.map(({ id }) => countStored(driver, id)));
    // In this order the SDK does not take the server's death for an error, and does not wait for its answer either.
    const disposed = sdk.dispose();
    await server.kill();
    await disposed;
    return {
      lateMedian: quantile(late, 0.5),
      lateP99: quantile(late, 0.99),
      lateMax: quantile(late, 1),
      // A delay counts from when the timer was due, a millisecond after the last.
      loopP99: loop.percentile(99) / 1e6 - 1,
      loopMax: loop.max / 1e6 - 1,
      perSecond: late.length / agents / ((heardAt - start) / 1000),
      cpu: (user + system) / late.length,
      unheard: sent - late.length,
      unstored: sent - stored.reduce((sum, count) => sum + count, 0),
      sent,
    };
  } finally {
    await near.end();
    await server.cleanup();
  }
}
