/** The pages of this project: their programs compile, as strictly as TypeScript can, and their links lead somewhere. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";

import { brokenLinks } from "../scripts/links.mjs";
import { blocks } from "./support/console.mts";
import { directory } from "./support/directory.mts";
import { errorsOfExamples, examplesIn, path } from "./support/types/compiler.mts";

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

test("the lines of the help texts in docs/cli.md end where they are full, and examples fit into a terminal", () => {
  const isProse = (line?: string) => /^\S/.test(line ?? "");
  for (const help of blocks(readFileSync(path("docs/cli.md"), "utf8"), "text")) {
    const lines = help.split("\n");
    const early = lines.filter((line, at) => {
      const next = lines[at + 1];
      return isProse(line) && isProse(next) && `${line} ${next?.split(" ")[0]}`.length < 100;
    });
    assert.deepEqual(early, []);
    const [, examples = ""] = help.split("Examples:\n");
    assert.deepEqual(
      examples.split("\n").filter((line) => line.length > 80),
      [],
    );
  }
});

describe("tables", () => {
  const read = (file: string) => readFileSync(path(file), "utf8");
  /** What the rows of a page's first table are about, in alphabetical order. It stands before the first heading. */
  const rows = (page: string) =>
    [
      ...read(page)
        .split("\n## ")[0]!
        .matchAll(/^\| `(\w+)` /gm),
    ]
      .map(([, name]) => name)
      .sort();
  const codesIn = (text: string) => [...text.matchAll(/"(ERR_PERSIST_\w+)"/g)].map(([, code]) => code);

  test("the codes of errors are the same in the store, in the type and in docs/errors.md", () => {
    const declared = codesIn(/^type PersistErrorCode =[^;]*;/m.exec(read("index.d.ts"))?.[0] ?? "").sort();
    // The last one is thrown by `import`, before there is a store.
    assert.deepEqual(declared, [...codesIn(read("src/store/error.rs")), "ERR_PERSIST_NO_BINARY"].sort());
    assert.deepEqual(rows("docs/errors.md"), declared);
  });

  /** The names of one kind in a text, each once, in alphabetical order. */
  const names = (text: string, name: RegExp) => [...new Set([...text.matchAll(name)].map(([, name]) => name))].sort();

  test("the channels and the codes of warnings in docs/monitoring.md are those of StoreMessages", () => {
    const [, declared] = /^interface StoreMessages \{$([\s\S]*?)^\}$/m.exec(read("index.d.ts"))!;
    const page = read("docs/monitoring.md");
    assert.deepEqual(names(page, /^\| `sandbox-agent-persist:(\w+)` /gm), names(declared!, /^  (\w+): \{$/gm));
    const [, codes] = /^\s*code: (".*-.*");$/m.exec(declared!)!;
    assert.deepEqual(names(page, /^\| `(\w+-[\w-]+)` /gm), names(codes!, /"([\w-]+)"/g));
  });

  test("the codes of findings in docs/operations.md are those of FindingCode", () => {
    const [, declared] = /^type FindingCode =([^;]*);/m.exec(read("index.d.ts"))!;
    const table = read("docs/operations.md")
      .match(/^\| `"(?:error|warning|info)"` .*$/gm)!
      .join("\n");
    assert.deepEqual(names(table, /`(\w[\w-]*)`/g), names(declared!, /"([\w-]+)"/g));
  });

  for (const [options, page] of [
    ["SQLiteSessionPersistDriverOptions", "docs/sqlite.md"],
    ["PostgresSessionPersistDriverOptions", "docs/postgres.md"],
  ] as const) {
    test(`the options in ${page} are those of ${options}`, () => {
      const declared = [options, "PersistDriverOptions"].flatMap((name) => {
        const body = new RegExp(`^interface ${name}\\b[^{]*\\{$([\\s\\S]*?)^\\}$`, "m").exec(read("index.d.ts"))?.[1];
        assert.ok(body, `index.d.ts declares ${name}`);
        return [...body.matchAll(/^  (\w+)\?:/gm)].map(([, option]) => option);
      });
      assert.deepEqual(rows(page), declared.sort());
    });
  }
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
