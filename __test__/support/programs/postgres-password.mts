/**
 * A driver whose password comes from a function that keeps nothing alive itself. Writes one event that nobody awaits, and
 * leaves the driver open. `never` instead has the function never settle.
 */
import { PostgresSessionPersistDriver } from "../../../index.js";
import { eventAt } from "../records.mts";

const [connectionString, schema, password] = process.argv.slice(2);

const driver = new PostgresSessionPersistDriver({
  connectionString,
  schema,
  password: () => new Promise((resolve) => setTimeout(() => password !== "never" && resolve(password), 300).unref()),
  connectTimeoutMs: password === "never" ? 500 : 10_000,
  queryTimeoutMs: password === "never" ? 1000 : 30_000,
});
driver.insertEvent("s", eventAt("s", 1)).then(
  () => process.send?.("stored"),
  ({ code }) => process.send?.(code),
);
process.send?.("the main program has ended");
process.channel?.unref();
