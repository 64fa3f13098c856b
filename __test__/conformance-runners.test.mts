/** The suite of conformance under each test runner: as the example runs it, and where a driver is wrong. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { join } from "node:path";
import { describe, test } from "node:test";

import { tool } from "../scripts/run.mjs";
import { directory } from "./support/directory.mts";
import { path } from "./support/types/compiler.mts";

interface Report {
  passed: number;
  failed: number;
  skipped: number;
}

/** In words that vitest and jest read as an expression. */
const ORDER = "listEvents is in order";

const runners = path("__test__/support/conformance/runners");

/** What vitest and jest write as JSON is alike. */
const counted = (text: string): Report => {
  const { numPassedTests, numFailedTests, numPendingTests } = JSON.parse(text.slice(text.indexOf("{")));
  return { passed: numPassedTests, failed: numFailedTests, skipped: numPendingTests };
};

const RUNNERS = {
  vitest: {
    args: () => [tool("vitest"), "run", "--root", path("."), "--reporter=json", join(runners, "vitest.test.mts")],
    only: ["--testNamePattern", ORDER],
  },
  jest: {
    args: (cacheDirectory: string) => {
      const config = {
        rootDir: runners,
        testMatch: ["**/jest.test.mts"],
        moduleFileExtensions: ["mts", "cjs", "js", "json"],
        transform: { "\\.mts$": "<rootDir>/esbuild.cjs" },
        cacheDirectory,
      };
      return [tool("jest"), "--config", JSON.stringify(config), "--json", "--silent"];
    },
    only: ["--testNamePattern", ORDER],
  },
};

/** Runs Node as from a shell, and not as a part of this test run. */
function node(args: string[], variables: Record<string, string> = {}): Promise<{ code: unknown; stdout: string }> {
  const { NODE_TEST_CONTEXT, ...inherited } = process.env;
  const options = { cwd: path("."), env: { ...inherited, ...variables, NO_COLOR: "1" }, maxBuffer: 1 << 26 };
  return new Promise((resolve) => {
    execFile(process.execPath, args, options, (error, stdout) => resolve({ code: error?.code ?? 0, stdout }));
  });
}

describe("the suite of conformance", { concurrency: true }, () => {
  for (const [name, { args, only }] of Object.entries(RUNNERS)) {
    test(`runs under ${name}, with its groups left out as skipped`, async (t) => {
      const stores = directory(t);
      const { code, stdout } = await node(args(join(stores, "cache")), { STORES: stores });
      const { passed, failed, skipped } = counted(stdout);
      assert.deepEqual({ code, failed, skipped }, { code: 0, failed: 0, skipped: 5 });
      assert.ok(passed > 50, `${passed} passed`);
    });

    test(`fails under ${name} where the driver is wrong`, async (t) => {
      const stores = directory(t);
      const { code, stdout } = await node([...args(join(stores, "cache")), ...only], { STORES: stores, BROKEN: "1" });
      const { passed, failed } = counted(stdout);
      assert.deepEqual({ code, passed, failed }, { code: 1, passed: 0, failed: 1 });
    });
  }

  test("passes the example's driver, in the example's test", async () => {
    const { code, stdout } = await node([
      "--import",
      "tsx",
      "--test",
      "--test-reporter=tap",
      "examples/conformance/driver.test.mts",
    ]);
    assert.match(stdout, /^# fail 0$/m);
    assert.match(stdout, /^# skipped 5$/m);
    assert.equal(code, 0);
  });
});
