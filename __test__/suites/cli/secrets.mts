/** The password in the URL of a store: no command shows it, whatever goes wrong. */
import assert from "node:assert/strict";
import path from "node:path";
import { test } from "node:test";

import { SQLiteSessionPersistDriver } from "../../../index.js";
import { run } from "../../support/command-line.mts";
import { fill } from "../../support/deletion.mts";
import { directory } from "../../support/directory.mts";
import { makeSchema } from "../../support/postgres/schema.mts";
import { query } from "../../support/postgres/server.mts";
import { openPersist } from "../../support/storage.mts";

const SECRET = "hidden-7";

const COMMANDS = [
  ["sessions"],
  ["label", "a"],
  ["label", "absent", "b=c", "--yes"],
  ["fork", "a"],
  ["fork", "absent", "--yes"],
  ["delete", "absent", "--yes"],
  ["prune", "--idle-before", "1d", "--dry-run"],
  ["compact", "--dry-run", "--json"],
  ["rebuild", "--yes"],
  ["backup", "x"],
  ["vacuum", "--yes"],
  ["check"],
  ["sessions", "--help"],
  ["sessions", "--table-prefix", "no prefix!"],
];

export function secrets(url: string): void {
  test("a password is in no output and no error", { concurrency: true }, async (t) => {
    const schema = await makeSchema(url);
    const driver = openPersist({ driver: "Postgres", options: { connectionString: url, schema } });
    await fill(driver, "a");
    await driver.close();
    await query(url, `CREATE ROLE keeper SUPERUSER LOGIN PASSWORD '${SECRET}'`);
    const { host, pathname } = new URL(url);
    const login = (password: string, server = host) => `postgres://keeper:${password}@${server}${pathname}`;
    const store = `${login(SECRET)}?schema=${schema}`;
    const wrong = [
      login(`${SECRET}-wrong`),
      login(SECRET, "127.0.0.1:1"),
      login(SECRET, "127.0.0.1:port"),
      `${store}&sslmode=${SECRET}`,
      `${store}&unknown=${SECRET}`,
      `postgres://${host}${pathname}?user=keeper&password=${SECRET}-wrong`,
      `postgres://keeper:${SECRET}`,
      `mysql://keeper:${SECRET}@localhost/database`,
      `host=localhost password=${SECRET}`,
      `host=localhost PASSWORD = '${SECRET}'`,
      `PGPASSWORD=${SECRET}`,
      `postgres:/keeper:${SECRET}@${host}${pathname}`,
      `POSTGRES:keeper:${SECRET}@${host}${pathname}`,
      `keeper:${SECRET}@${host}${pathname}`,
    ];
    const cwd = directory(t);
    const file = path.join(cwd, "store.db");
    await new SQLiteSessionPersistDriver({ filename: file }).close();
    const odd = `postgres://keeper:'${SECRET}"@${host}//`;
    /** Where a store is written that is taken for something else. */
    const misplaced = [store, odd].flatMap((store) => [
      ["show", store],
      ["tail", store],
      ["export", store],
      ["export", "--output", store],
      ["import", store, "--yes"],
      ["copy", file, file, store],
      ["copy", file, `./x/${store}`, "--yes"],
      ["label", store, "a=b", "--yes"],
      ["fork", store, "--yes"],
      ["delete", store, "--yes"],
      ["compact", store, "--yes"],
      ["backup", `x/${store}`],
      ["sessions", "--cursor", store],
      ["prune", "--idle-before", store],
    ]);
    const runs = [
      ...COMMANDS.map((command) => ({ arguments_: command, env: { SANDBOX_AGENT_PERSIST_URL: store } })),
      ...wrong.map((store) => ({ arguments_: ["check"], env: { SANDBOX_AGENT_PERSIST_URL: store } })),
      ...wrong.map((store) => ({ arguments_: ["sessions", "--store", store], env: {} })),
      ...misplaced.map((arguments_) => ({ arguments_, env: { SANDBOX_AGENT_PERSIST_URL: file } })),
      ...[[store], ["sessions", store], [`--stroe=${store}`, "sessions"], ["sessions", "--limit", store]].map(
        (arguments_) => ({ arguments_, env: {} }),
      ),
    ];
    const outcomes = [];
    while (runs.length > 0) {
      const some = runs.splice(0, 8).map(async ({ arguments_, env }) => {
        const { code, stdout, stderr } = await run(arguments_, { env, cwd });
        assert.ok(!`${stdout}${stderr}`.includes(SECRET), `${path.basename(arguments_[0]!)}: ${stdout}${stderr}`);
        assert.ok(stderr.split("\n").length <= 2, stderr);
        return { arguments_, code };
      });
      outcomes.push(...(await Promise.all(some)));
    }
    const codes = outcomes.map(({ code }) => code);
    // Those of the good URL do what they do anywhere: that it logs in with the password is what makes the others failures.
    assert.deepEqual(codes.slice(0, COMMANDS.length), [0, 0, 3, 2, 3, 3, 0, 0, 0, 2, 0, 1, 0, 2]);
    for (const { arguments_, code } of outcomes.slice(COMMANDS.length)) assert.ok(code !== 0, arguments_.join(" "));
  });
}
