/** `export` and `import`: hostile files, and where files are put. */
import assert from "node:assert/strict";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
  readdirSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import path from "node:path";
import { test, type TestContext } from "node:test";
import { gzipSync } from "node:zlib";

import { archive, header, linesOf } from "./support/archive.mts";
import { type Outcome, run } from "./support/command-line.mts";
import { directory } from "./support/directory.mts";
import { eventAt, largeEventAt, sessionOf } from "./support/records.mts";

const record = (id: string) => JSON.stringify(sessionOf(id));
const event = (id: string, index: number) => JSON.stringify(eventAt(id, index));
const good = archive([{ id: "s", record: record("s"), events: [event("s", 1), event("s", 2)] }]);

/** Imports a file into a store that is not there yet. */
async function imported(
  t: TestContext,
  content: string | Buffer,
  { arguments_ = [], env = {} }: { arguments_?: string[]; env?: Record<string, string> } = {},
): Promise<Outcome & { stored: boolean }> {
  const cwd = directory(t);
  writeFileSync(path.join(cwd, "file"), content);
  const outcome = await run(["import", "file", "--yes", "--store", "store.db", ...arguments_], { cwd, env });
  return { ...outcome, stored: existsSync(path.join(cwd, "store.db")) };
}

test("import: every line that is wrong is named, with what is wrong with it, and never what it says", async (t) => {
  const deep = "[".repeat(100_000) + "]".repeat(100_000);
  const wrong: [line: string | Buffer, problem: RegExp][] = [
    ["secret", /is not JSON, from column 1$/],
    ["", /is not JSON, from column 0$/],
    ['{"event":{"id":"secret"', /is not JSON, from column 23$/],
    ['{"event":{"id":"secret", nonsense}}', /is not JSON, from column 26$/],
    ['{"other":"secret"}', /none of a session, an event and an end$/],
    [`{"event":${deep}}`, /the event must be an object/],
    ['{"event":"secret"}', /the event must be an object/],
    [`{"event":${event("s", 3).replace('"agent"', '"secret"')}}`, /event.sender must be "client" or "agent"$/],
    [`{"event":${event("s", 3).replace(":3,", ':"secret",')}}`, /event.eventIndex must be an integer, it is a string$/],
    [`{"event":${event("s", 3).replace(":3,", ":-3,")}}`, /event.eventIndex must not be negative/],
    [`{"event":${event("t", 3)}}`, /event.sessionId is "t", but the event was given for session "s"/],
    [`{"event":${event("s", 2)}}`, /there are two events with index 2$/],
    [`{"event":${event("s", 1)}}`, /index 1 comes after index 2: /],
    [
      Buffer.concat([Buffer.from('{"event":"'), Buffer.from([0xff]), Buffer.from('"}')]),
      /byte 11 of the line is not UTF-8$/,
    ],
    ['{"session":{"id":1},"labels":{}}', /session.id must be a string, it is a number$/],
    [`{"session":${record("x")},"labels":{"a":{"secret":1}}}`, /a session must be written /],
    [`{"session":${record("x")},"labels":{"":"secret"}}`, /a label's name must have /],
    [`{"session":${record("x")},"secret":1}`, /a session must be written /],
    [`{"session":null}`, /a session must be written /],
    [linesOf({ id: "s", record: record("s"), events: [] }).trimEnd(), /session "s" stands in the file twice$/],
  ];
  const before = good.split("\n");
  const lines = [...before.slice(0, 4), ...wrong.map(([line]) => line), '{"end":{"sessions":1,"events":2}}', "{}"];
  const content = Buffer.concat(lines.flatMap((line) => [Buffer.from(line), Buffer.from("\n")]));
  const { code, stdout, stderr, stored } = await imported(t, content);
  const said = stderr.trimEnd().split("\n");
  for (const [at, [, problem]] of wrong.entries()) {
    assert.match(said[at] ?? "", new RegExp(`^line ${at + 5}: `));
    assert.match(said[at] ?? "", problem);
  }
  assert.match(said[20] ?? "", /^and \d+ more$/);
  assert.match(said[21] ?? "", /^error: file cannot be imported, since it has \d+ wrong lines; nothing was changed$/);
  assert.deepEqual([code, stdout, said.length, stored], [1, "", 22, false]);
  assert.doesNotMatch(stderr, /secret/);
});

test("import: a file that is none, was cut off or changed anywhere changes nothing", async (t) => {
  const lines = good.split("\n");
  const without = (at: number) => lines.toSpliced(at, 1).join("\n");
  const two = archive([
    { id: "s", record: record("s"), events: [] },
    { id: "t", record: record("t"), events: [] },
  ]);
  const gzip = gzipSync(good);
  const cases: [content: string | Buffer, problem: RegExp][] = [
    ["", /line 1: the file was cut off: its end is missing/],
    ["{}\n", /line 1: this is no file that `sandbox-agent-persist export` has written/],
    [header.replace("1}", "2}"), /line 1: version 2 of the format is newer /],
    [good.slice(0, good.indexOf(lines[3] ?? "")), /line 4: the file was cut off/],
    [good.slice(0, -20), /line 6: the line is not JSON/],
    [`${good}{}\n`, /line 7: nothing may stand after the end/],
    [good + good, /line 7: nothing may stand after the end/],
    [without(2), /line 4: session "s" should have 2 events, and has 1: /],
    [without(4), /line 5: session "s" has no end/],
    [
      two.replace(linesOf({ id: "t", record: record("t"), events: [] }), ""),
      /there should be sessions 2, and there are 1: /,
    ],
    [good.replace("chunk 1", "chunk X"), /line 5: the SHA-256 of the lines of session "s" is another one/],
    [good.replace('"mock"', '"mick"'), /line 5: the SHA-256 of the lines of session "s" is another one/],
    [gzip.subarray(0, gzip.length - 30), /: the file was cut off: what is compressed has no end/],
    [Buffer.from(gzip).fill(0x55, 40, 60), /: the file is damaged/],
    [Buffer.concat([gzip, Buffer.from("garbage")]), /: the file (is damaged|was cut off)/],
    [Buffer.concat([gzip, gzip]), /line 7: nothing may stand after the end/],
    [`\ufeff${good}`, /line 1: this is no file that/],
    [Buffer.from(good, "utf16le"), /line 1: this is no file that/],
    [good.replaceAll("\n", "\r\n"), /line 3: the line is none of a session, an event and an end/],
    [good.replace("\n", "\n\n"), /line 2: the line is not JSON, from column 0/],
    [Buffer.from("28b52ffd00880000", "hex"), /: the file is damaged/],
  ];
  await Promise.all(
    cases.map(async ([content, problem]) => {
      const { code, stdout, stderr, stored } = await imported(t, content);
      assert.match(stderr, problem);
      assert.match(stderr, /error: file cannot be imported, since it has \d+ wrong lines?; nothing was changed\n$/);
      assert.deepEqual([code, stdout, stored], [1, "", false]);
    }),
  );
});

test("import: whatever its name says, and compressed in parts", async (t) => {
  const cwd = directory(t);
  const file = path.join(cwd, "good.zst");
  writeFileSync(file, Buffer.concat([gzipSync(good.slice(0, 99)), gzipSync(good.slice(99))]));
  const arguments_ = ["--yes", "--store", path.join(cwd, "store.db")];
  const stored = await run(["import", file, ...arguments_]);
  assert.deepEqual([stored.code, stored.stderr], [0, ""]);
  const exported = path.join(cwd, "exported.zst");
  assert.equal((await run(["export", "--output", exported, ...arguments_.slice(1)])).code, 0);
  // As `pzstd` begins a file: with a frame of four bytes that is to be skipped.
  const skipped = Buffer.from("502a4d180400000001020304", "hex");
  writeFileSync(path.join(cwd, "skips.gz"), Buffer.concat([skipped, readFileSync(exported)]));
  const again = await run(["import", path.join(cwd, "skips.gz"), "--json", ...arguments_]);
  assert.deepEqual([again.code, again.stderr], [0, ""]);
  assert.match(again.stdout, /"unchanged":1/);
});

test(
  "import: a bomb costs time and no memory, and a line of 100 MB is refused unless it is allowed",
  { skip: process.platform !== "linux" },
  async (t) => {
    const env = { NODE_OPTIONS: `--import=${import.meta.resolve("./support/programs/tell-peak-memory.mjs")}` };
    const sizeOf = ({ stderr }: Outcome) => Number(/(\d+) KiB at most/.exec(stderr)?.[1]) / 1024;
    const atRest = sizeOf(await imported(t, good, { env }));
    const line = Buffer.alloc(100_000_000, "x");
    const bomb = gzipSync(Buffer.concat([Buffer.from(header), ...Array<Buffer>(3).fill(line)]));
    const exploded = await imported(t, bomb, { env });
    assert.match(exploded.stderr, /line 2: the line has more than 67108864 bytes: --max-line-bytes allows more/);
    assert.deepEqual([exploded.code, exploded.stored], [1, false]);
    assert.ok(sizeOf(exploded) - atRest < 160, `${sizeOf(exploded)} MB of memory, ${atRest} MB at rest`);

    const events = [JSON.stringify(largeEventAt("s", 1, 100_000_000))];
    const large = archive([{ id: "s", record: record("s"), events }]);
    assert.match((await imported(t, large)).stderr, /line 3: the line has more than 67108864 bytes/);
    const { code, stderr, stored } = await imported(t, large, { arguments_: ["--max-line-bytes", "101000000"] });
    assert.deepEqual([code, stderr, stored], [0, "", true]);
  },
);

test("import: a directory, a device and a missing file are errors of one line, and it asks before it changes anything", async (t) => {
  const cwd = directory(t);
  writeFileSync(path.join(cwd, "good"), good);
  for (const [arguments_, code, message] of [
    [[cwd, "--yes"], 2, /^error: .* is no file: write - to read what another program prints\n$/],
    [["/dev/zero", "--yes"], 2, /^error: \/dev\/zero is no file: /],
    [["nowhere", "--yes"], 1, /^error: there is no file nowhere\n$/],
    [
      ["good"],
      2,
      /^error: This imports 1 session with 2 events from good into .*store\.db, and creates its tables: add --yes /,
    ],
    [["good", "--max-line-bytes", "1e9"], 2, /^error: invalid value '1e9' .* write a number of bytes, /],
  ] as const) {
    const outcome = await run(["import", ...arguments_, "--store", "store.db"], { cwd });
    assert.match(outcome.stderr, message);
    assert.deepEqual([outcome.code, outcome.stdout, outcome.stderr.split("\n").length], [code, "", 2]);
  }
  const tried = await run(["import", "good", "--dry-run", "--store", "store.db"], { cwd });
  assert.deepEqual([tried.code, tried.stderr, readdirSync(cwd)], [0, "", ["good"]]);
});

test("export: a file is whole, private and nobody's else, and never put through a link or over the store", async (t) => {
  const cwd = directory(t);
  const store = path.join(cwd, "store.db");
  const filled = await run(["import", "-", "--yes", "--store", store], { input: good });
  assert.equal(filled.code, 0, filled.stderr);
  const kept = path.join(cwd, "kept");
  writeFileSync(kept, "kept");
  symlinkSync(kept, path.join(cwd, "link"));
  mkdirSync(path.join(cwd, "folder"));
  for (const [output, code, message] of [
    ["kept", 1, /^error: there is a file at kept already: choose another one, or add --force to replace it\n$/],
    ["link", 1, /^error: there is a file at link already/],
    ["folder", 2, /^error: --output folder is no file\n$/],
    ["nowhere/file", 1, /^error: writing nowhere\/file failed: /],
  ] as const) {
    const outcome = await run(["export", "--output", output, "--store", store], { cwd });
    assert.match(outcome.stderr, message);
    assert.deepEqual([outcome.code, outcome.stdout], [code, ""]);
  }
  writeFileSync(path.join(cwd, "store.db-journal"), "");
  for (const file of ["./store.db", "store.db-journal"]) {
    const over = await run(["export", "--force", "--output", file, "--store", store], { cwd });
    assert.match(over.stderr, /^error: --output .* is the store itself/);
  }
  rmSync(path.join(cwd, "store.db-journal"));
  // Whatever the store is called, and whether that file is there now.
  const odd = "odd\x1b.db";
  copyFileSync(store, path.join(cwd, odd));
  symlinkSync(store, path.join(cwd, "alias.db"));
  for (const [file, storeName] of [
    [odd, odd],
    ["store.db", "alias.db"],
    ["alias.db", "store.db"],
    ["store.db-wal", "alias.db"],
    ["store.db-shm", "./store.db"],
  ] as const) {
    const over = await run(["export", "--force", "--output", file, "--store", storeName], { cwd });
    assert.match(over.stderr, /^error: --output .* is the store itself/);
    assert.equal(over.code, 2);
  }

  const replaced = await run(["export", "--force", "--output", "link", "--store", store], { cwd });
  assert.deepEqual([replaced.code, replaced.stderr], [0, ""]);
  assert.equal(readFileSync(path.join(cwd, "link"), "utf8"), good);
  assert.equal(readFileSync(kept, "utf8"), "kept");
  assert.equal(statSync(path.join(cwd, "link")).mode & 0o777, 0o600);
  assert.deepEqual(
    readdirSync(cwd).filter((name) => name.endsWith(".partial")),
    [],
  );
});
