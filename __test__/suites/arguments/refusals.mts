/** How a wrong argument must be refused, and the right record and event that wrong fields are put into. */
import assert from "node:assert/strict";
import type { SessionEvent, SessionRecord } from "sandbox-agent";
import type { PostgresSessionPersistDriver, SQLiteSessionPersistDriver } from "../../../index.js";
import { SECRET } from "./wrong-values.mts";

export type Driver = SQLiteSessionPersistDriver | PostgresSessionPersistDriver;

export type Refusal = TypeError & { code: string };

/** The call must return a promise, which rejects for wrong arguments, with messages that match. */
export async function refused(call: () => Promise<unknown>, ...messages: RegExp[]): Promise<Refusal> {
  const promise = call();
  assert.ok(promise instanceof Promise);
  const error = await promise.then(
    () => assert.fail("it was not refused"),
    (error: unknown) => error,
  );
  return checked(error, messages);
}

/** As `refused`, for the constructor, which throws. */
export function thrown(construct: () => Driver, ...messages: RegExp[]): Refusal {
  let driver: Driver;
  try {
    driver = construct();
  } catch (error) {
    return checked(error, messages);
  }
  void driver.close();
  assert.fail("it was not refused");
}

function checked(error: unknown, messages: RegExp[]): Refusal {
  assert.ok(error instanceof TypeError, `not a TypeError: ${error}`);
  assert.equal((error as Refusal).code, "ERR_PERSIST_INVALID_ARGUMENT", error.message);
  for (const message of messages) assert.match(error.message, message);
  assert.ok(!error.message.includes(SECRET), "the message shows a value");
  assert.ok(error.stack?.includes(error.message), "no stack");
  return error as Refusal;
}

export function record(fields: Partial<SessionRecord> = {}): SessionRecord {
  return { id: "s", agent: "mock", agentSessionId: "a", lastConnectionId: "c", createdAt: 1, ...fields };
}

export function event(fields: Partial<SessionEvent> = {}): SessionEvent {
  return {
    id: "e",
    eventIndex: 1,
    sessionId: "s",
    createdAt: 1,
    connectionId: "c",
    sender: "agent",
    payload: {} as SessionEvent["payload"],
    ...fields,
  };
}

export function named(what: string, field: string): RegExp {
  return new RegExp(`^${what}\\.${field} must be `);
}
