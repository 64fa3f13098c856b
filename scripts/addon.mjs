// @ts-check
// Names the addon of this machine, as napi-rs names it.

import path from "node:path";

import { root } from "./run.mjs";

/** The platform of this machine in the words of napi-rs, such as `linux-x64-gnu`. */
export const platform = [process.platform, process.arch, abi()].filter(Boolean).join("-");

/** The file that `napi build` makes on this machine. */
export const addon = path.join(root, `sandbox-agent-persist.${platform}.node`);

/** @returns {string | undefined} */
function abi() {
  if (process.platform === "win32") return "msvc";
  if (process.platform !== "linux") return undefined;
  // Without this the report looks up the names of all network peers, which may take seconds.
  Object.assign(process.report, { excludeNetwork: true });
  const report = /** @type {{ header: Record<string, unknown> }} */ (
    /** @type {unknown} */ (process.report.getReport())
  );
  return report.header["glibcVersionRuntime"] ? "gnu" : "musl";
}
