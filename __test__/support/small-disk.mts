/** A disk that is soon full. */
import { execFileSync } from "node:child_process";
import type { TestContext } from "node:test";

import { directory } from "./directory.mts";

/** Runs `body` with a new file system in memory, of `size`; skips where this process may not mount one. */
export async function onSmallDisk(
  t: TestContext,
  size: string,
  body: (folder: string) => Promise<void>,
): Promise<void> {
  if (process.platform !== "linux" || process.geteuid?.() !== 0) {
    return t.skip("mounting a small file system takes root on Linux");
  }
  const folder = directory(t);
  try {
    execFileSync("mount", ["-t", "tmpfs", "-o", `size=${size}`, "tmpfs", folder], { stdio: "pipe" });
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
