/** A real browser without a window. */
import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";
import type { TestContext } from "node:test";

import { type Browser, launch } from "puppeteer-core";

/** What systems call it. */
const NAMES = ["chromium", "chromium-browser", "google-chrome"];

function find(): string | undefined {
  const folders = (process.env["PATH"] ?? "").split(delimiter);
  return folders
    .flatMap((folder) => NAMES.map((name) => join(folder, name)))
    .find((path) => {
      try {
        accessSync(path, constants.X_OK);
        return true;
      } catch {
        return false;
      }
    });
}

/** For a test's option `skip`: false where Chromium is installed; elsewhere the reason, which is also printed. */
export function skipWithoutChromium(): string | false {
  if (find()) return false;
  const reason = "Chromium is not installed (apt-get install chromium)";
  console.warn(`\n*** NOT TESTED: ${reason} ***\n`);
  return reason;
}

/** Starts it, with a new profile. After the test its processes and its profile are gone. */
export async function startBrowser(t: TestContext): Promise<Browser> {
  const executablePath = find();
  if (!executablePath) throw new Error("Chromium is not installed.");
  const browser = await launch({
    executablePath,
    pipe: true,
    // Its sandbox does not work for root.
    args: process.getuid?.() === 0 ? ["--no-sandbox"] : [],
  });
  t.after(() => browser.close());
  return browser;
}
