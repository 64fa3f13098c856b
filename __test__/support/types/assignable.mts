/**
 * Compiled by types.test.mts and `npm run lint`, never run: the class is what `persist` takes, in the oldest and the
 * newest SDK that are supported, its methods have the SDK's own types, and wrong use is an error of the compiler.
 */
import { describe, test } from "node:test";
import type {
  ListPage,
  SandboxAgentConnectOptions,
  SandboxAgentStartOptions,
  SessionEvent,
  SessionPersistDriver,
  SessionRecord,
} from "sandbox-agent";
import type {
  SandboxAgentConnectOptions as OldConnectOptions,
  SandboxAgentStartOptions as OldStartOptions,
  SessionPersistDriver as OldSessionPersistDriver,
} from "sandbox-agent-0.4.0";
import { testSessionPersistDriver, type ConformanceOptions, type OpenDriver } from "../../../conformance.js";
import {
  type EventListRequest,
  PostgresSessionPersistDriver,
  type PostgresSessionPersistDriverOptions,
  type PostgresSslOptions,
  type SessionListRequest,
  SQLiteSessionPersistDriver,
  type SQLiteSessionPersistDriverOptions,
} from "../../../index.js";

const persist = new SQLiteSessionPersistDriver({ filename: "./sandbox-agent.db" });

export const driver: SessionPersistDriver = persist;
export const connect: SandboxAgentConnectOptions["persist"] = persist;
export const start: SandboxAgentStartOptions["persist"] = persist;

export const oldDriver: OldSessionPersistDriver = persist;
export const oldConnect: OldConnectOptions["persist"] = persist;
export const oldStart: OldStartOptions["persist"] = persist;

export const disposable: AsyncDisposable = persist;

const postgres = new PostgresSessionPersistDriver({ connectionString: process.env["DATABASE_URL"]! });

export const both: SessionPersistDriver[] = [persist, postgres];
export const oldBoth: OldSessionPersistDriver[] = [persist, postgres];
export const connectBoth: SandboxAgentConnectOptions["persist"][] = [persist, postgres];
export const disposableToo: AsyncDisposable = postgres;

// An interface that could not be found would be `any`, and take everything.
// @ts-expect-error no methods
export const nothing: SessionPersistDriver = {};
// @ts-expect-error no methods
export const nothingOld: OldSessionPersistDriver = {};

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
// The lists take more than the SDK asks for.
type Method = Exclude<keyof SessionPersistDriver, "listSessions" | "listEvents">;
type Methods<Driver extends SessionPersistDriver> = { [M in Method]: Same<Driver[M], SessionPersistDriver[M]> };
const ALL = { getSession: true, updateSession: true, insertEvent: true } as const;
export const methods: Methods<SQLiteSessionPersistDriver> = ALL;
export const postgresMethods: Methods<PostgresSessionPersistDriver> = ALL;

export const results: [
  Same<ReturnType<typeof persist.ready>, Promise<void>>,
  Same<ReturnType<typeof persist.close>, Promise<void>>,
  Same<ReturnType<typeof persist.getSession>, Promise<SessionRecord | undefined>>,
  Same<ReturnType<typeof persist.listEvents>, Promise<ListPage<SessionEvent>>>,
  Same<ReturnType<typeof persist.listSessions>, Promise<ListPage<SessionRecord>>>,
] = [true, true, true, true, true];

export const eventList: Required<EventListRequest> = {
  sessionId: "s",
  cursor: "",
  limit: 50,
  order: "desc",
  afterIndex: 0,
  beforeIndex: 9,
  sender: "client",
  method: "session/prompt",
};

export const sessionList: Required<SessionListRequest> = {
  cursor: "",
  limit: 50,
  order: "asc",
  agent: "claude",
  sandboxId: "local/1",
  destroyed: false,
  createdAfter: 0,
  createdBefore: 9,
  labels: { tenant: "a" },
};

export const options: Required<SQLiteSessionPersistDriverOptions> = {
  filename: ":memory:",
  durability: "full",
  busyTimeoutMs: 5000,
  readonly: false,
  migrate: true,
  tablePrefix: "",
  checkpoints: "automatic",
  onEventIndexConflict: "reassign",
  maxEventsPerSession: 500,
  maxSessions: 1024,
  slowMs: 1_000,
  drainTimeoutMs: 60_000,
};

export const ssl: Required<PostgresSslOptions> = { mode: "verify-full", ca: "", cert: "", key: "", servername: "" };

export const postgresOptions: Required<PostgresSessionPersistDriverOptions> = {
  connectionString: "postgres://127.0.0.1/app",
  password: async () => "secret",
  schema: "public",
  tablePrefix: "",
  maxConnections: 10,
  connectTimeoutMs: 10_000,
  acquireTimeoutMs: 10_000,
  queryTimeoutMs: 30_000,
  idleTimeoutMs: 60_000,
  maxLifetimeMs: 1_800_000,
  applicationName: "sandbox-agent-persist",
  ssl,
  migrate: true,
  onEventIndexConflict: "reassign",
  maxEventsPerSession: 500,
  maxSessions: 1024,
  slowMs: 1_000,
  drainTimeoutMs: 60_000,
};

export const open: OpenDriver[] = [
  () => persist,
  async (store) => ({ driver: new SQLiteSessionPersistDriver({ filename: store }), close: () => {} }),
];

export const conformance: Required<ConformanceOptions> = {
  name: "mine",
  skip: ["durable", "several writers"],
  remove: async () => {},
  timeoutMs: 1_000,
  test,
  describe,
};

export async function wrongUse(): Promise<void> {
  // @ts-expect-error a group that there is not
  testSessionPersistDriver(() => persist, { skip: ["durabel"] });
  // @ts-expect-error a group that every driver is held to
  testSessionPersistDriver(() => persist, { skip: ["events"] });
  // @ts-expect-error no driver
  testSessionPersistDriver(() => ({ close: () => {} }));
  // @ts-expect-error an unknown option
  new SQLiteSessionPersistDriver({ file: "./sandbox-agent.db" });
  // @ts-expect-error an unknown value
  new SQLiteSessionPersistDriver({ durability: "off" });
  // @ts-expect-error a wrong type
  new SQLiteSessionPersistDriver({ busyTimeoutMs: "5000" });
  // @ts-expect-error no options object
  new SQLiteSessionPersistDriver("./sandbox-agent.db");
  // @ts-expect-error an option of `pg`
  new PostgresSessionPersistDriver({ host: "127.0.0.1" });
  // @ts-expect-error an unknown value
  new PostgresSessionPersistDriver({ ssl: { mode: "off" } });
  // @ts-expect-error there may be no such session
  (await persist.getSession("id")).agent;
  // @ts-expect-error the request is required
  await persist.listEvents();
  // @ts-expect-error an unknown field
  await persist.listEvents({ sessionId: "id", session: "id" });
  // @ts-expect-error an unknown value
  await persist.listEvents({ sessionId: "id", order: "newest" });
  // @ts-expect-error a filter of events
  await persist.listSessions({ sender: "agent" });
  // @ts-expect-error an event is more than its id
  await persist.insertEvent("id", { id: "event" });
  // @ts-expect-error a record is more than its id
  await persist.updateSession({ id: "id" });
}
