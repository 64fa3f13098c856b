/** The command line over a store of either kind. */
import { describe } from "node:test";

import { interrupted } from "./cli/interrupted.mts";
import { operate } from "./cli/operate.mts";
import { archives } from "./cli/archive.mts";
import { migrate } from "./cli/migrate.mts";
import { sessions } from "./cli/sessions.mts";
import { show } from "./cli/show.mts";
import { stats } from "./cli/stats.mts";
import type { NewStore } from "./cli/store.mts";
import { tail } from "./cli/tail.mts";
import { texts } from "./cli/texts.mts";

export function commandLine(name: string, newStore: NewStore): void {
  describe(name, { concurrency: true }, () => {
    sessions(newStore);
    show(newStore);
    tail(newStore);
    stats(newStore);
    operate(newStore);
    interrupted(newStore);
    archives(newStore);
    migrate(newStore);
    texts(newStore);
  });
}
