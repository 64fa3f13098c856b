/** A file system that is soon full, for tests of what happens then. */
import { execFileSync } from "node:child_process";
import type { TestContext } from "node:test";

import { directory } from "./directory.mts";

/**
 * Runs `body` with a new file system in memory, of `size`, which belongs to the user with the number `owner`; skips where this process
 * may not mount one.
 */
export async function onSmallDisk(
  t: TestContext,
  size: string,
  body: (folder: string) => Promise<void>,
  owner = 0,
): Promise<void> {
  if (process.platform !== "linux" || process.geteuid?.() !== 0) {
    return t.skip("mounting a small file system takes root on Linux");
  }
  const folder = directory(t);
  try {
    const options = `size=${size},mode=0700,uid=${owner}`;
    execFileSync("mount", ["-t", "tmpfs", "-o", options, "tmpfs", folder], { stdio: "pipe" });
  } catch (error) {
    return t.skip(`mounting a small file system was refused: ${(error as Error).message}`);
  }
  try {
    await body(folder);
  } finally {
    // Lazily: a driver may still be open when a test fails.
    execFileSync("umount", ["--lazy", folder]);
  }
}
