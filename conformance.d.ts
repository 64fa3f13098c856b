// Made of lib/ by `npm run build:front`: change that, not this.
import type { SessionPersistDriver } from "sandbox-agent" with { "resolution-mode": "import" };

/**
 * A group of cases that a driver may leave out:
 *
 * - `"durable"`: what was stored is found by a driver that is opened later.
 * - `"several writers"`: two drivers are open on one store, as in two processes.
 * - `"exact JSON"`: `\u0000`, lone surrogates, keys such as `__proto__`, and the order of keys come back as they went in.
 * - `"cursors under writes"`: a row that comes in before a cursor makes no other row repeat or be skipped.
 * - `"retries"`: an event that is inserted again under its id is stored once.
 * - `"deep copies"`: what a caller changes inside a record that it has written or read does not change the store.
 * - `"unknown fields"`: fields that a newer SDK adds to records and events are kept.
 * - `"large values"`: a message of 32 MiB, and one of 1,000 levels.
 */
type OptionalGroup =
  | "durable"
  | "several writers"
  | "exact JSON"
  | "cursors under writes"
  | "retries"
  | "deep copies"
  | "unknown fields"
  | "large values";

/**
 * Opens a driver on the store of that name, which is made when there is none. Each case has a store of its own, so a name that
 * was not seen before is an empty store. Some cases open several drivers on one store, one after another or at once.
 *
 * The name is of lower-case letters, digits and `_`, at most 40 characters, and never used again: it can be the name of a file, a
 * schema or a table.
 */
type OpenDriver = (store: string) => OpenedDriver | Promise<OpenedDriver>;
/** A driver under test. After its case it is closed, if it has a `close`; one that ends otherwise stands beside its `close`. */
type OpenedDriver =
  | (SessionPersistDriver & {
      close?(): unknown;
    })
  | {
      driver: SessionPersistDriver;
      close?(): unknown;
    };
/** What `test` of `node:test`, vitest, jest and others can do alike. */
interface TestFunction {
  /** Registers a case. */
  (name: string, run: () => Promise<void>, timeoutMs?: number): unknown;
  /** Shows a case as one that is left out. */
  skip: (name: string, run: () => Promise<void>) => unknown;
}
/** What `describe` of `node:test`, vitest, jest and others can do alike. */
type DescribeFunction = (name: string, run: () => void) => unknown;
/** Options of {@link testSessionPersistDriver}. */
interface ConformanceOptions {
  /** What the driver is called in the report. @default "session persist driver" */
  name?: string;
  /** Groups that the driver does not promise. Their cases are shown as skipped. @default [] */
  skip?: readonly OptionalGroup[];
  /** Called after each case, when its drivers are closed, to remove its store. @default nothing is removed */
  remove?: (store: string) => unknown;
  /** How long a case may take, in milliseconds. @default 60_000 */
  timeoutMs?: number;
  /** The runner's `test`. @default that of `node:test` */
  test?: TestFunction;
  /** The runner's `describe`. @default that of `node:test` */
  describe?: DescribeFunction;
}
/**
 * Registers a suite of tests that say whether a driver does what the `sandbox-agent` SDK relies on. The name of each says which
 * promise it is about, and what goes wrong with a driver that does not keep it.
 *
 * Call it in a test file of any runner. Without `test` and `describe` that is `node:test`.
 *
 * @param open opens a driver on a store, by its name
 * @throws {TypeError} if `skip` names a group that there is not
 *
 * @example
 * ```ts
 * import { testSessionPersistDriver } from "sandbox-agent-persist/conformance";
 * import { InMemorySessionPersistDriver } from "sandbox-agent";
 *
 * testSessionPersistDriver(() => new InMemorySessionPersistDriver(), {
 *   name: "in memory",
 *   skip: ["durable", "several writers"],
 * });
 * ```
 */
declare function testSessionPersistDriver(open: OpenDriver, options?: ConformanceOptions): void;

export { testSessionPersistDriver };
export type { ConformanceOptions, DescribeFunction, OpenDriver, OpenedDriver, OptionalGroup, TestFunction };
