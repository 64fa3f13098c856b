/**
 * The contract of `SessionPersistDriver`, as one suite for every driver: first what the package exports for drivers of others,
 * then what goes beyond it. Cases whose names begin with "ours:" are promises that no other driver makes.
 */
import { test } from "node:test";
import { testSessionPersistDriver, type OptionalGroup } from "../../conformance.js";
import type { OpenDriver, OurDriver, Remove, Suite } from "./contract/driver.mts";
import { compaction } from "./contract/compaction.mts";
import { caps } from "./contract/caps.mts";
import { deletions } from "./contract/delete.mts";
import { events } from "./contract/events.mts";
import { forks } from "./contract/forks.mts";
import { labels } from "./contract/labels.mts";
import { following } from "./contract/following.mts";
import { lists } from "./contract/lists.mts";
import { model } from "./contract/model.mts";
import { pages } from "./contract/pages.mts";
import { prunes } from "./contract/prune.mts";
import { sessions } from "./contract/sessions.mts";
import { tracing } from "./contract/tracing.mts";
import { statistics } from "./contract/stats.mts";
import { upkeep } from "./contract/upkeep.mts";
import { values } from "./contract/values.mts";

export type { CaseOptions, ContractDriver } from "./contract/driver.mts";

/** How the suite treats the driver. */
export interface ContractOptions {
  /** Whether the driver is one of this package, so that the cases named "ours:" apply. */
  ours: boolean;
  /** What it does not promise of the suite for all drivers. */
  skip?: OptionalGroup[];
  /** Without it rows only come, and none go. */
  remove?: Remove;
}

/** Registers the suite for the driver that `open` opens. */
export function contract(name: string, open: OpenDriver, { ours, skip = [], remove }: ContractOptions): void {
  testSessionPersistDriver((store) => open(store), { name, skip });
  const fresh: Suite["fresh"] = async (t, options) => {
    const driver = await open(`contract_${crypto.randomUUID().replaceAll("-", "")}`, options);
    t.after(() => driver.close?.());
    return driver;
  };
  const suite: Suite = {
    name,
    fresh,
    ours: async (t, options) => (await fresh(t, options)) as OurDriver,
    oursOnly: (sentence, run) => {
      test(`ours: ${sentence}`, { skip: ours ? false : `${name} does not promise it` }, run);
    },
    remove,
  };
  for (const register of [
    sessions,
    events,
    pages,
    lists,
    labels,
    deletions,
    prunes,
    forks,
    compaction,
    caps,
    values,
    model,
    following,
    tracing,
    statistics,
    upkeep,
  ])
    register(suite);
}
