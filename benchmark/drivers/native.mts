/** The native class without its front in `lib/`, to see what that costs. */
import { createRequire } from "node:module";

import type { SQLiteSessionPersistDriver } from "../../index.js";
import { addon } from "../../scripts/addon.mjs";

/** Opens it as `lib/sqlite.ts` does. */
export function openNative(filename: string, durability: "full" | "normal"): SQLiteSessionPersistDriver {
  const { Driver } = createRequire(import.meta.url)(addon);
  const { stringify, parse } = JSON;
  const createError = (code: string, message: string) => Object.assign(new Error(message), { code });
  return Driver.sqlite({ filename, durability }, { stringify, parse, createError });
}
