/** Runs the suite of conformance without a test runner, to see which cases a driver fails. */
import { testSessionPersistDriver, type ConformanceOptions, type OpenDriver } from "../../../conformance.js";

export interface Case {
  group: string;
  /** What the case says that the driver does. */
  promise: string;
  run(): Promise<void>;
}

/** A case, and why it failed, if it did. */
export type Outcome = Omit<Case, "run"> & { error?: unknown };

/** The cases for a driver, in the order in which runners show them. */
export function casesOf(open: OpenDriver, options: ConformanceOptions = {}): Case[] {
  const cases: Case[] = [];
  let group = "";
  testSessionPersistDriver(open, {
    ...options,
    name: "driver",
    describe: (title, register) => {
      group = title.replace("driver: ", "");
      register();
    },
    test: Object.assign(
      (name: string, run: () => Promise<void>) => {
        cases.push({ group, promise: name.split("; otherwise ")[0]!, run });
      },
      { skip: () => {} },
    ),
  });
  return cases;
}

/** What comes of them, one after another. */
export async function outcomesOf(cases: Case[]): Promise<Outcome[]> {
  const outcomes: Outcome[] = [];
  for (const { group, promise, run } of cases) {
    try {
      await run();
      outcomes.push({ group, promise });
    } catch (error) {
      outcomes.push({ group, promise, error });
    }
  }
  return outcomes;
}
