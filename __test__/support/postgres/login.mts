/** Logs in with a driver and tells what the server sees of it, or what the driver says about the failure. */
import assert from "node:assert/strict";
import type { TestContext } from "node:test";
import { inspect } from "node:util";

import { PostgresSessionPersistDriver, type PostgresSessionPersistDriverOptions } from "../../../index.js";
import type { Attempt, Outcome } from "../programs/log-in.mts";
import { start } from "../process.mts";
import { query, type TestServer } from "./server.mts";

export type Options = PostgresSessionPersistDriverOptions;

/** What the server knows of a driver's connection. */
export interface Seen {
  encrypted: boolean;
  user: string;
  database: string;
  /** The name in the client's certificate. */
  certificate: string | null;
  /** Nothing on a Unix socket. */
  address: string | null;
}

export type Refusal = Error & { code: string; sqlState?: string; cause?: unknown };

// What the shell of whoever runs the tests says about Postgres is not for these logins.
for (const name of Object.keys(process.env)) if (name.startsWith("PG")) delete process.env[name];

let named = 0;

/** A name that no other connection to the server has. */
export function uniqueName(): string {
  named += 1;
  return `login_${process.pid}_${named}`;
}

/** The server's view of the one driver that has this name. */
export async function seen(server: TestServer, applicationName: string): Promise<Seen> {
  const rows = await query<Seen>(
    server.url,
    `SELECT ssl.ssl AS encrypted, usename AS user, datname AS database, client_dn AS certificate,
       host(client_addr) AS address
     FROM pg_stat_activity JOIN pg_stat_ssl AS ssl USING (pid) WHERE application_name = $1`,
    [applicationName],
  );
  assert.ok(rows.length > 0, `nobody called ${applicationName} is connected`);
  return rows[0];
}

/** Logs in, and gives what the server sees; rejects or throws what the driver does. */
export async function logIn(server: TestServer, options: Options): Promise<Seen> {
  const applicationName = uniqueName();
  const driver = new PostgresSessionPersistDriver({ ...options, applicationName });
  try {
    await driver.ready();
    return await seen(server, applicationName);
  } finally {
    await driver.close();
  }
}

/** Nothing that a log could show of the error may hold one of these. */
export function assertHides(error: unknown, secrets: string[]): void {
  const shown = typeof error === "string" ? error : inspect(error, { depth: null, showHidden: true });
  for (const secret of secrets) assert.ok(!shown.includes(secret), "the error shows a password");
}

/** A login that fails, and shows none of the secrets. */
export async function refused(server: TestServer, options: Options, ...secrets: string[]): Promise<Refusal> {
  let error: Refusal;
  try {
    await logIn(server, options);
  } catch (caught) {
    error = caught as Refusal;
    assert.ok(error.code?.startsWith("ERR_PERSIST_"), inspect(error));
    assertHides(error, [server.password, ...secrets]);
    return error;
  }
  return assert.fail("the login did not fail");
}

/** A process whose environment each login sets. Its logins take turns. */
export function loginProcess(t: TestContext, server: TestServer) {
  const child = start(t, "log-in.mts");
  const attempt = (given: Attempt) => {
    child.send(given);
    return child.next<Outcome>();
  };
  return {
    /** Logs in, and gives what the server sees. */
    logIn: async (environment: Record<string, string>, options?: Options): Promise<Seen> => {
      const applicationName = uniqueName();
      const outcome = await attempt({ environment: { PGAPPNAME: applicationName, ...environment }, options });
      assert.ok(outcome.ok, outcome.shown);
      return seen(server, applicationName);
    },
    /** A login that fails, and shows no password. */
    refused: async (environment: Record<string, string>, options?: Options): Promise<Outcome & { message: string }> => {
      const { message, ...outcome } = await attempt({ environment, options });
      assert.ok(!outcome.ok && message !== undefined, "the login did not fail");
      assertHides(outcome.shown, [server.password]);
      return { ...outcome, message };
    },
  };
}
