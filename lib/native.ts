// Finds and loads the native addon, and declares its types, which are private to this folder.
import type { ListPage, SessionEvent, SessionRecord } from "sandbox-agent" with { "resolution-mode": "import" };

import type { StoreAddress } from "./channels.ts";
import type { CopyDifference, CopyProgress, CopyResult } from "./copy.ts";
import type { CheckProgress, Finding } from "./findings.ts";
import type { CompactResult, RebuildResult } from "./operations.ts";
import { createError, type realm } from "./realm.ts";
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
  /** Begins a job. Throws when the options are wrong, or the driver closed. */
  vacuum(options: unknown): NativeJob<{ bytes: number }, { bytes: number }>;
  pruneSessions(options: unknown): NativeJob<PruneCounts, PruneCounts>;
  /** Begins to copy an SQLite database. Throws when the arguments are wrong, or the driver closed. */
  backup(path: unknown, options: unknown): NativeJob<{ bytes: number }, NativeBackupProgress>;
  /** The same. */
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

interface PruneCounts {
  sessions: number;
  events: number;
  bytes: number;
}

/** How far a backup is. */
export interface NativeBackupProgress {
  phase: "copying" | "verifying";
  bytes: number;
  totalBytes: number;
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

interface Addon {
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

const NAME = "sandbox-agent-persist";

/** Set by scripts/front.mjs, from package.json: the version of the package, and the platforms that it is built for. */
declare const VERSION: string;
declare const PLATFORMS: string[];

/** The platforms whose binary may fit this machine. On Linux that depends on its C library, so both are tried. */
const fitting = PLATFORMS.filter((platform) => `${platform}-`.startsWith(`${process.platform}-${process.arch}-`));

export const { CommandLine, Copying, Driver } = load();

function load(): Addon {
  const given = process.env["NAPI_RS_NATIVE_LIBRARY_PATH"];
  if (given) return loadGiven(given);
  const problems: string[] = [];
  for (const platform of fitting) {
    const packageName = `${NAME}-${platform}`;
    for (const file of [`./${NAME}.${platform}.node`, packageName]) {
      try {
        const loaded = require(file) as Addon;
        if (file === packageName) checkVersion(packageName);
        return loaded;
      } catch (error) {
        if (!isAbsent(error, file)) problems.push(`${file}: ${messageOf(error)}`);
      }
    }
  }
  throw createError("ERR_PERSIST_NO_BINARY", explain(problems));
}

/** For a debugger, or a build of one's own. */
function loadGiven(file: string): Addon {
  try {
    const loaded = require(file) as Partial<Addon>;
    if (!loaded.Driver) throw new Error(`it is not the native part of ${NAME}`);
    return loaded as Addon;
  } catch (error) {
    throw createError(
      "ERR_PERSIST_NO_BINARY",
      `${file} could not be loaded: ${messageOf(error)}. NAPI_RS_NATIVE_LIBRARY_PATH names it: correct or unset that variable`,
    );
  }
}

/** Packages of two versions, in one lock file or one cache, would fail in odd ways later. */
function checkVersion(packageName: string): void {
  const { version } = require(`${packageName}/package.json`) as { version: string };
  if (version !== VERSION) throw new Error(`it has version ${version}, and ${NAME} has version ${VERSION}`);
}

/** The first line: those after it say who called `require`. */
function messageOf(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split("\n", 1).join();
}

function isAbsent(error: unknown, file: string): boolean {
  const { code, message = "" } = error as NodeJS.ErrnoException;
  return code === "MODULE_NOT_FOUND" && message.includes(`'${file}'`);
}

function explain(problems: string[]): string {
  const machine = `${process.platform} ${process.arch}${libc()}, Node ${process.versions.node}`;
  const binaries = `There are binaries for ${PLATFORMS.join(", ")}.`;
  if (problems.length > 0) {
    const advice = problems.some((problem) => problem.includes("loading addons is disabled"))
      ? "Run Node with --allow-addons beside --permission, and let it read node_modules and use the database's files."
      : `Remove node_modules and the lock file, and install ${NAME} again; the system may also be too old for the binary (docs/runtimes.md).`;
    return `the native part of ${NAME} could not be loaded on ${machine}: ${problems.join("; ")}. ${advice}`;
  }
  if (fitting.length === 0) {
    return `${NAME} has no binary for this machine: ${machine}. ${binaries} For another, build it from source (CONTRIBUTING.md).`;
  }
  return (
    `the native part of ${NAME} is not installed for ${machine}. ${binaries} It is an optional dependency, ` +
    `${fitting.map((platform) => `${NAME}-${platform}`).join(" or ")}: install without --omit=optional (--no-optional), on ` +
    `the system that runs it; and do not let a bundler take it in (docs/bundlers.md).`
  );
}

/** The C library, where there may be several. */
function libc(): string {
  if (process.platform !== "linux") return "";
  try {
    // Looking up the names of all network peers may take seconds.
    Object.assign(process.report, { excludeNetwork: true });
    const { header } = process.report.getReport() as unknown as { header: { glibcVersionRuntime?: string } };
    return header.glibcVersionRuntime ? `, glibc ${header.glibcVersionRuntime}` : ", no glibc (musl)";
  } catch {
    return ""; // not every runtime can tell
  }
}
