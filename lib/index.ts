// The public front of the package: all names that it exports, and nothing else.
export type { StoreAddress, StoreMessages } from "./channels.ts";
export {
  type CopyDifference,
  type CopyProgress,
  type CopyResult,
  copySessions,
  type CopySessionsOptions,
  type SessionSource,
} from "./copy.ts";
export type { PersistErrorCode } from "./errors.ts";
export type { CheckProgress, Finding, FindingCode } from "./findings.ts";
export type {
  CheckOptions,
  CompactResult,
  CompactSessionOptions,
  CompactSessionsOptions,
  PruneResult,
  PruneSessionsOptions,
  RebuildOptions,
  RebuildResult,
  VacuumOptions,
  VacuumResult,
  WorkOptions,
} from "./operations.ts";
export {
  PostgresSessionPersistDriver,
  type PostgresSessionPersistDriverOptions,
  type PostgresSslOptions,
} from "./postgres.ts";
export type { EventListRequest, ForkSessionOptions, SessionListRequest, TailEventsRequest } from "./requests.ts";
export type { TracedCall } from "./trace.ts";
export type { DatabaseStats, Histogram, Stats } from "./stats.ts";
export {
  type BackupOptions,
  type BackupProgress,
  type BackupResult,
  SQLiteSessionPersistDriver,
  type SQLiteSessionPersistDriverOptions,
} from "./sqlite.ts";
