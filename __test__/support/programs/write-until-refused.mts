/**
 * Writes to one session flat out, events beside records and labels, until a write is refused; says why each kind of write
 * is, and closes its driver. Told to, it opens a driver of either kind.
 */
import { PostgresSessionPersistDriver, SQLiteSessionPersistDriver } from "../../../index.js";
import { eventAt, sessionOf } from "../records.mts";

export interface Task {
  /** With a `filename` for SQLite, else for Postgres. */
  options: Record<string, unknown>;
  session: string;
}

/** The codes with which writes were refused, by the method. */
export type Refused = Record<"insertEvent" | "updateSession" | "setLabels", string>;

async function work({ options, session }: Task): Promise<void> {
  const driver =
    "filename" in options ? new SQLiteSessionPersistDriver(options) : new PostgresSessionPersistDriver(options);
  const name = `writer-${process.pid}`;
  const untilRefused = async (write: (number: number) => Promise<void>): Promise<string> => {
    for (let number = 1; ; number += 1) {
      try {
        await write(number);
      } catch (error) {
        return (error as { code: string }).code;
      }
      if (number === 5) process.send?.("writing");
    }
  };
  const refused: Refused = {
    insertEvent: "",
    updateSession: "",
    setLabels: "",
  };
  const strands = Array.from({ length: 4 }, async (_, strand) => {
    refused.insertEvent = await untilRefused((number) =>
      driver.insertEvent(session, eventAt(session, number, { id: `${name}-${strand}-${number}` })),
    );
  });
  await Promise.all([
    ...strands,
    untilRefused(() => driver.updateSession(sessionOf(session))).then((code) => (refused.updateSession = code)),
    untilRefused((number) => driver.setLabels(session, { [name]: `${number}` })).then(
      (code) => (refused.setLabels = code),
    ),
  ]);
  await driver.close();
  process.send?.(refused);
}

if (process.argv[1] === import.meta.filename) {
  process.once("message", (task: Task) => void work(task));
  process.send?.("loaded");
}
