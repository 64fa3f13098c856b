/** The pages of this project: their programs compile, as strictly as TypeScript can, and their links lead somewhere. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";

import { brokenLinks } from "../scripts/links.mjs";
import { directory } from "./processes/start.mts";
import { errorsOfExamples, examplesIn, path } from "./types/compiler.mts";

const pages = [...markdownIn("."), ...markdownIn("docs")];

/** The pages in a directory of this project. */
function markdownIn(directory: string): string[] {
  return readdirSync(path(directory))
    .filter((name) => name.endsWith(".md"))
    .map((name) => join(directory, name));
}

describe("programs", () => {
  for (const page of pages) {
    const programs = examplesIn(readFileSync(path(page), "utf8"));
    if (programs.length === 0) continue;
    test(`those in ${page} compile`, () => assert.equal(errorsOfExamples(programs), ""));
  }

  test("the check sees an option that may be undefined", () => {
    const program = "new PostgresSessionPersistDriver({ connectionString: process.env.DATABASE_URL });";
    assert.match(errorsOfExamples([program]), /exactOptionalPropertyTypes/);
  });
});

describe("links", () => {
  test("each leads to a file and a heading that are there", () => {
    assert.deepEqual(brokenLinks(path("."), pages), []);
  });

  test("the check sees those that do not", (t) => {
    const folder = directory(t);
    const links =
      "[a](#there--here) [b](#nowhere) [c](other.md) [d](../page.md) [e](https://example.com) `[f](code.md)`";
    writeFileSync(join(folder, "page.md"), `# There & here\n\n${links}\n`);
    assert.deepEqual(brokenLinks(folder, ["page.md"]), [
      "page.md links to #nowhere: there is no such heading",
      "page.md links to other.md: there is no such file",
      "page.md links to ../page.md: it leads out of the package",
    ]);
  });
});
