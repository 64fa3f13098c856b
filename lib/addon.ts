// The types of the native addon, which are private to this folder. `native.ts` loads it.
import type { ListPage, SessionEvent, SessionRecord } from "sandbox-agent" with { "resolution-mode": "import" };

import type { StoreAddress } from "./channels.ts";
import type { CopyDifference, CopyProgress, CopyResult } from "./copy.ts";
import type { CheckProgress, Finding } from "./findings.ts";
import type { CompactResult, PruneResult, RebuildResult, VacuumResult } from "./operations.ts";
import type { realm } from "./realm.ts";
import type { BackupProgress, BackupResult } from "./sqlite.ts";
import type { DatabaseStats, Stats } from "./stats.ts";

/** The native class of src/bindings/driver.rs. Its methods check what they are given, and reject; they do not throw. */
export interface NativeDriver {
  /** How many calls are not settled. */
  readonly pending: number;
  readonly drainTimeoutMs: number;
  /** What the store is called by those who watch it. It stays the same. */
  readonly address: StoreAddress;
  /** Resolves as soon as no call is pending. */
  whenIdle(): Promise<void>;
  ready(): Promise<void>;
  getSession(id: unknown): Promise<SessionRecord | undefined>;
  listSessions(request: unknown): Promise<ListPage<SessionRecord>>;
  updateSession(session: unknown): Promise<void>;
  listEvents(request: unknown): Promise<ListPage<SessionEvent>>;
  insertEvent(sessionId: unknown, event: unknown): Promise<void>;
  setLabels(sessionId: unknown, labels: unknown): Promise<void>;
  getLabels(sessionId: unknown): Promise<Record<string, string>>;
  /** A follower of the session. Throws when the request is wrong, or the driver closed. */
  follow(request: unknown): NativeFollower;
  deleteSession(id: unknown): Promise<boolean>;
  /** `randomId` is the copy's id unless the options have one. */
  forkSession(id: unknown, options: unknown, randomId: string): Promise<SessionRecord>;
  /** Begins a job, as all do that give one. Throws when the arguments are wrong, or the driver closed. */
  vacuum(options: unknown): NativeJob<VacuumResult, VacuumResult>;
  pruneSessions(options: unknown): NativeJob<PruneResult, PruneResult>;
  /** Of an SQLite database. */
  backup(path: unknown, options: unknown): NativeJob<BackupResult, BackupProgress>;
  compactSession(id: unknown, options: unknown): NativeJob<CompactResult, CompactResult>;
  compactSessions(options: unknown): NativeJob<CompactResult, CompactResult>;
  /** How much the database holds. It is no pending call. */
  measure(): Promise<DatabaseStats>;
  /** What the store has counted. */
  counters(): Omit<Stats, "database">;
  /** Says whether anybody listens to what the store tells. */
  listen(listened: boolean): void;
  check(options: unknown): NativeJob<Finding[], CheckProgress>;
  /** `randomId` tells this rebuild from others. */
  rebuild(options: unknown, randomId: string): NativeJob<RebuildResult, RebuildResult>;
  /** Sends the store what was written in this turn. */
  send(): void;
  close(): Promise<void>;
}

/** The native class of src/bindings/follower.rs. It ends when it is collected, too. */
export interface NativeFollower {
  /** The next events, at least one; `undefined` once there will be no more. Called when the one before has settled. */
  nextEvents(): Promise<SessionEvent[] | undefined>;
  end(): void;
}

/** The native class of src/bindings/job.rs: work that takes many calls, under way. */
export interface NativeJob<Result, Progress> {
  /**
   * How far it is, as soon as that has changed, and at last its result; `undefined` once it was ended. Called when the one before has
   * settled.
   */
  next(): Promise<{ progress: Progress } | { result: Result } | undefined>;
  /** Ends it after the call that is under way. */
  end(): void;
}

/** The native class of src/bindings/copying.rs: a copy that is under way, and what it is handed. */
export interface NativeCopying extends NativeJob<NativeCopied, CopyProgress> {
  /** The next session. Each of these resolves when it is taken, or the copy has ended; the next is called after that. */
  handSession(id: unknown, record: string, labels?: Record<string, string>): Promise<void>;
  /** The next events of that session, by ascending index. */
  handEvents(events: string[]): Promise<void>;
  /** There are no more sessions. */
  handEnd(): Promise<void>;
}

/** What came of a copy. */
export interface NativeCopied extends CopyResult {
  /** How many sessions were left as they are. */
  different: number;
  /** The first of them. */
  differences: CopyDifference[];
}

/** The native class of src/bindings/command_line.rs. */
interface NativeCommandLine {
  /** Runs the command that the arguments name, and resolves to the exit code. */
  run(arguments_: string[]): Promise<number>;
  /** Wants the command to end with this exit code. Whether the process may end at once. */
  stop(code: number): boolean;
}

/** What the addon exports. */
export interface Addon {
  CommandLine: new () => NativeCommandLine;
  Copying: {
    /** Begins to copy what is handed over. Throws when the options are wrong, or the target closed. */
    of(target: NativeDriver, options: unknown): NativeCopying;
    /** Begins to copy sessions of another driver: those with these ids, or all. Nothing is handed over. */
    between(source: NativeDriver, target: NativeDriver, options: unknown, ids?: string[]): NativeCopying;
  };
  Driver: {
    sqlite(options: unknown, functions: typeof realm): NativeDriver;
    postgres(options: unknown, functions: typeof realm): NativeDriver;
  };
}
