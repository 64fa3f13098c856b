/** The native class without its front in `lib/`, to see what that costs. */
import { createRequire } from "node:module";

import type { SQLiteSessionPersistDriver } from "../../index.js";
import { addon } from "../../scripts/addon.mjs";

const require = createRequire(import.meta.url);
// Not imported: as part of `lib/` it is checked with other settings (lib/tsconfig.json).
const { realm } = require("../../lib/realm.ts");

/** Opens it as `lib/sqlite.ts` does. */
export function openNative(filename: string, durability: "full" | "normal"): SQLiteSessionPersistDriver {
  const { Driver } = require(addon);
  return Driver.sqlite({ filename, durability }, realm);
}
