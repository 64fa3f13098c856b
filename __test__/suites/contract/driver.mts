/** The driver that the contract's cases are about, and what each group of them is given. */
import type { TestContext } from "node:test";
import type { SessionPersistDriver } from "sandbox-agent";
import type { PostgresSessionPersistDriver, SQLiteSessionPersistDriver } from "../../../index.js";

/** A driver under test. The SDK's interface has no `close`; a driver that has one is closed after its test. */
export type ContractDriver = SessionPersistDriver & { close?(): Promise<void> };

/** A driver of this package, as cases for these alone see it. */
export type OurDriver = SQLiteSessionPersistDriver | PostgresSessionPersistDriver;

/** The options that cases open a driver with. The SDK's in-memory driver has only the caps. */
export interface CaseOptions {
  onEventIndexConflict?: "reassign" | "reject";
  maxEventsPerSession?: number;
  maxSessions?: number;
  slowMs?: number;
}

/** Opens a driver on the store of that name, which is empty when the name is new. */
export type OpenDriver = (store: string, options?: CaseOptions) => Promise<ContractDriver>;

/** Deletes a row as another program would, with plain SQL. */
export type Remove = (driver: ContractDriver, row: { session: string; eventIndex?: number }) => Promise<void>;

/** What a group of cases registers itself with. */
export interface Suite {
  /** What the driver is called in the names of the groups. */
  name: string;
  /** A new, empty driver, which is closed after the test. */
  fresh(t: TestContext, options?: CaseOptions): Promise<ContractDriver>;
  /** The same for cases that are of this package's drivers only. */
  ours(t: TestContext, options?: CaseOptions): Promise<OurDriver>;
  /** Registers a case that only drivers of this package meet; for others it is skipped. */
  oursOnly(sentence: string, run: (t: TestContext) => Promise<void>): void;
  /** Whether the driver is one of this package. */
  remove?: Remove;
}
