/** A process that writes flat out while a test does something to the server, and the proof that nothing came of that. */
import assert from "node:assert/strict";
import type { TestContext } from "node:test";

import type { PostgresSessionPersistDriverOptions } from "../../../index.js";
import type { Acknowledged, Farewell } from "../programs/postgres-write-until-told.mts";
import { start, type Started } from "../process.mts";
import { query } from "./server.mts";

const SESSIONS = Array.from({ length: 8 }, (_, number) => `session-${number}`);

/** What is acknowledged in one session. */
export interface Written {
  events: number;
  /** The number of events that the record names. */
  record: number;
}

export class Load {
  /** By session. */
  readonly written = new Map<string, Written>();

  #child: Started;
  #farewell?: Farewell;

  constructor(child: Started, before?: Load) {
    this.#child = child;
    for (const session of SESSIONS) {
      this.written.set(session, { ...(before?.written.get(session) ?? { events: 0, record: 0 }) });
    }
  }

  /** Waits until each session has had so many more events acknowledged. */
  async progress(count = 10): Promise<void> {
    const goals = [...this.written].map(([session, { events }]) => [session, events + count] as const);
    while (!goals.every(([session, goal]) => this.written.get(session)!.events >= goal)) await this.#hear();
  }

  /** Lets the writes under way come to their end. Each must have been stored, and nothing may have been printed. */
  async stop(): Promise<void> {
    this.#child.send("stop");
    while (!this.#farewell) await this.#hear();
    assert.deepEqual(this.#farewell.failed, []);
    // Node ends a process with code 1 at the first unhandled rejection or uncaught exception, and prints it.
    assert.deepEqual(await this.#child.ended, { code: 0, signal: null, stderr: "" });
  }

  /** Ends the process in the middle of whatever it does. */
  async kill(): Promise<void> {
    this.#child.kill("SIGKILL");
    assert.equal((await this.#child.ended).signal, "SIGKILL");
    for (const news of this.#child.rest<Acknowledged[]>()) this.#take(news);
  }

  /**
   * Checks that each event is stored once, at its own index, with none missing before it. `exactly` says that
   * everything was acknowledged; a process that was killed may have stored more.
   */
  async check(url: string, exactly = true): Promise<void> {
    const stored = await query(
      url,
      `SELECT session_id AS session, count(*)::int AS events, max(event_index)::int AS highest,
         bool_and(events.id = session_id || '-' || event_index) AS placed, min(last_connection_id::int) AS record
       FROM events LEFT JOIN sessions ON sessions.id = session_id WHERE session_id = ANY ($1) GROUP BY session_id`,
      [SESSIONS],
    );
    for (const { session, events, highest, placed, record } of stored) {
      const written = this.written.get(session)!;
      assert.ok(placed, `${session}: an event is stored where it does not belong`);
      assert.equal(events, highest, `${session}: an event is missing, or stored twice`);
      if (exactly) assert.deepEqual({ events, record: record ?? 0 }, written, session);
      assert.ok(events >= written.events, `${session}: ${events} events of ${written.events}`);
      assert.ok((record ?? 0) >= written.record, `${session}: the record names ${record}, not ${written.record}`);
    }
    for (const [session, { events }] of this.written) {
      assert.ok(events === 0 || stored.some((row) => row.session === session), `${session}: nothing is stored`);
    }
  }

  async #hear(): Promise<void> {
    this.#take(await this.#child.next<Acknowledged[] | Farewell>());
  }

  #take(news: Acknowledged[] | Farewell): void {
    if (!Array.isArray(news)) {
      this.#farewell = news;
      assert.deepEqual(news.failed, []);
      return;
    }
    for (const [session, index] of news) {
      const written = this.written.get(SESSIONS[session])!;
      if (index > 0) written.events = Math.max(written.events, index);
      else written.record = Math.max(written.record, -index);
    }
  }
}

/** Starts a process that writes flat out. One that goes on where another was killed is told of that. */
export async function startLoad(
  t: TestContext,
  options: PostgresSessionPersistDriverOptions,
  before?: Load,
): Promise<Load> {
  const child = start(t, "postgres-write-until-told.mts");
  assert.equal(await child.next(), "loaded");
  child.send({ options, sessions: SESSIONS });
  return new Load(child, before);
}
