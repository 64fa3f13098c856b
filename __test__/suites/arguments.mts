/**
 * Bad input to the methods: every wrong type of every argument and field has its code and a message that names it and
 * shows no payload; every method rejects, none throws. Each driver's test runs it.
 */
import { type DriverClass, driversOf } from "./arguments/drivers.mts";
import { compaction } from "./arguments/compaction.mts";
import { events } from "./arguments/events.mts";
import { forks } from "./arguments/forks.mts";
import { labels } from "./arguments/labels.mts";
import { lists } from "./arguments/lists.mts";
import { methods } from "./arguments/methods.mts";
import { objects } from "./arguments/objects.mts";
import { prunes } from "./arguments/prunes.mts";
import { records } from "./arguments/records.mts";

/** The suite for one class of drivers. */
export function methodArguments(driverClass: DriverClass): void {
  const drivers = driversOf(driverClass);
  for (const register of [methods, lists, records, events, labels, forks, compaction, prunes, objects])
    register(drivers);
}
