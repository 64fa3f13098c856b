// Registers the cases with a test runner, and opens and closes the drivers that they ask for.
import type { SessionPersistDriver } from "sandbox-agent" with { "resolution-mode": "import" };

import { nameOf, type Case, type Store } from "./case.ts";
import { OPTIONAL, REQUIRED, type OptionalGroup } from "./groups.ts";

/** Long enough for a database over a slow network; runners' own limits of 5 seconds are not. */
const TIMEOUT_MS = 60_000;

/** How long it may take to close the drivers of a case that failed. */
const CLOSING_MS = 5_000;

/**
 * Opens a driver on the store of that name, which is made when there is none. Each case has a store of its own, so a name that
 * was not seen before is an empty store. Some cases open several drivers on one store, one after another or at once.
 *
 * The name is of lower-case letters, digits and `_`, at most 40 characters, and never used again: it can be the name of a file, a
 * schema or a table.
 */
export type OpenDriver = (store: string) => OpenedDriver | Promise<OpenedDriver>;

/** A driver under test. After its case it is closed, if it has a `close`; one that ends otherwise stands beside its `close`. */
export type OpenedDriver =
  (SessionPersistDriver & { close?(): unknown }) | { driver: SessionPersistDriver; close?(): unknown };

/** What `test` of `node:test`, vitest, jest and others can do alike. */
export interface TestFunction {
  /** Registers a case. */
  (name: string, run: () => Promise<void>, timeoutMs?: number): unknown;
  /** Shows a case as one that is left out. */
  skip: (name: string, run: () => Promise<void>) => unknown;
}

/** What `describe` of `node:test`, vitest, jest and others can do alike. */
export type DescribeFunction = (name: string, run: () => void) => unknown;

/** Options of {@link testSessionPersistDriver}. */
export interface ConformanceOptions {
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
export function testSessionPersistDriver(open: OpenDriver, options: ConformanceOptions = {}): void {
  const { name = "session persist driver", skip = [], timeoutMs = TIMEOUT_MS } = options;
  const { test = testOfNode(), describe = require("node:test").describe as DescribeFunction } = options;
  for (const group of skip) {
    if (!Object.hasOwn(OPTIONAL, group)) {
      throw new TypeError(`skip names "${group}": the groups are "${Object.keys(OPTIONAL).join('", "')}"`);
    }
  }
  const skipped = new Set<string>(skip);
  for (const [group, cases] of Object.entries<Case[]>({ ...REQUIRED, ...OPTIONAL })) {
    describe(`${name}: ${group}`, () => {
      for (const each of cases) {
        const run = () => runCase(each, open, timeoutMs, options.remove);
        if (skipped.has(group)) test.skip(nameOf(each), run);
        // A driver that does not answer is closed before the runner gives the case up.
        else test(nameOf(each), run, timeoutMs + 2 * CLOSING_MS);
      }
    });
  }
}

/** Loaded for those who need it alone: other runners do not like to see it. */
function testOfNode(): TestFunction {
  const { test } = require("node:test") as typeof import("node:test");
  return Object.assign(
    (name: string, run: () => Promise<void>, timeout?: number) => test(name, timeout ? { timeout } : {}, run),
    { skip: (name: string, run: () => Promise<void>) => test.skip(name, run) },
  );
}

/** Runs a case on a store of its own, and leaves no driver open. */
async function runCase(
  each: Case,
  open: OpenDriver,
  timeoutMs: number,
  remove: ConformanceOptions["remove"],
): Promise<void> {
  const name = newStoreName();
  const closers = new Map<SessionPersistDriver, () => unknown>();
  const store: Store = {
    open: async () => {
      const opened = await open(name);
      const driver = driverOf(opened);
      closers.set(driver, () => opened.close?.());
      return driver;
    },
    close: async (driver) => {
      const close = closers.get(driver);
      closers.delete(driver);
      await close?.();
    },
  };
  /** Closes all, also where closing one fails, and comes back with why it did. */
  const end = async () => {
    const failures: unknown[] = [];
    const attempt = async (act: () => unknown) => {
      try {
        await act();
      } catch (error) {
        failures.push(error);
      }
    };
    for (const driver of [...closers.keys()].reverse()) await attempt(() => store.close(driver));
    await attempt(() => remove?.(name));
    return failures;
  };
  try {
    await within(timeoutMs, each.check(store));
  } catch (error) {
    // Why the case failed says more than that its driver cannot be closed then.
    await within(CLOSING_MS, end()).catch(() => {});
    throw error;
  }
  const failures = await end();
  if (failures.length > 0) throw failures[0];
}

/** The driver that was opened. */
function driverOf(opened: OpenedDriver | undefined): SessionPersistDriver {
  if (typeof opened === "object" && opened !== null) {
    if ("insertEvent" in opened) return opened;
    if (typeof opened.driver === "object" && opened.driver !== null) return opened.driver;
  }
  throw new TypeError("what opens a driver must give a driver, or an object with the fields driver and close");
}

/** Waits for work, but not for longer than that. */
async function within<Result>(milliseconds: number, work: Promise<Result>): Promise<Result> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const over = new Promise<never>((_, reject) => {
    const refuse = () => reject(new Error(`the driver has not answered within ${milliseconds} ms`));
    timer = setTimeout(refuse, milliseconds);
  });
  try {
    return await Promise.race([work, over]);
  } finally {
    clearTimeout(timer);
  }
}

let stores = 0;

/** Unlike any of another process or run. */
function newStoreName(): string {
  return `conformance_${Date.now().toString(36)}${Math.random().toString(36).slice(2, 8)}_${(stores += 1)}`;
}
