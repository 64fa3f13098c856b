/**
 * Logs in with each environment and options that it is sent, and answers how that went. The driver stays open until the
 * next message, so that the server can be asked about its connection.
 */
import { inspect } from "node:util";

import { PostgresSessionPersistDriver, type PostgresSessionPersistDriverOptions } from "../../../index.js";

export interface Attempt {
  environment: Record<string, string>;
  options?: PostgresSessionPersistDriverOptions;
}

/** Nothing but `ok`, or what the driver threw or rejected with. */
export interface Outcome {
  ok: boolean;
  code?: string;
  message?: string;
  sqlState?: string;
  /** All that a log could show of the error. */
  shown?: string;
}

let driver: PostgresSessionPersistDriver | undefined;

async function attempt({ environment, options }: Attempt): Promise<Outcome> {
  await driver?.close();
  driver = undefined;
  for (const name of Object.keys(process.env)) if (/^(PG|SSL_CERT)/.test(name)) delete process.env[name];
  Object.assign(process.env, environment);
  try {
    driver = new PostgresSessionPersistDriver(options);
    await driver.ready();
    return { ok: true };
  } catch (error) {
    const { code, message, sqlState } = error as Error & { code: string; sqlState?: string };
    return { ok: false, code, message, sqlState, shown: inspect(error, { depth: null, showHidden: true }) };
  }
}

process.on("message", async (message: Attempt | null) => {
  if (message) {
    process.send?.(await attempt(message));
  } else {
    await driver?.close();
    process.disconnect();
  }
});
