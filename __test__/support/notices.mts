/** What drivers tell on their point channels, as a subscriber in a user's program sees it. */
import { channel } from "node:diagnostics_channel";
import type { TestContext } from "node:test";

import type { StoreMessages } from "../../index.js";

type Name = keyof StoreMessages;
type Told = { [N in Name]: { channel: N; namespace: string } & StoreMessages[N] }[Name];

/** Listens to these channels until the test ends. */
export function listen(t: TestContext, ...names: Name[]) {
  const told: Told[] = [];
  let heard = () => {};
  for (const name of names) {
    const point = channel(`sandbox-agent-persist:${name}`);
    const hear = (message: unknown) => {
      told.push({ channel: name, ...(message as object) } as Told);
      heard();
    };
    point.subscribe(hear);
    t.after(() => point.unsubscribe(hear));
  }
  return {
    /** All that was told so far. */
    told,
    /** All of one channel. */
    of: <N extends Name>(name: N) => told.filter((one): one is Extract<Told, { channel: N }> => one.channel === name),
    /** Waits until so much was told on one channel. */
    async until(name: Name, count = 1): Promise<void> {
      while (told.filter((one) => one.channel === name).length < count) {
        await new Promise<void>((resolve) => (heard = resolve));
      }
    },
  };
}
