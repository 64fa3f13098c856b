/** Failures stay in their promises: nothing is unhandled or printed, and no password is in what they say. */
import assert from "node:assert/strict";
import { after, test } from "node:test";

import { startProxy } from "./support/postgres/proxy.mts";
import { query, startServer } from "./support/postgres/server.mts";
import type { Report, Task } from "./support/programs/postgres-fail.mts";
import { start } from "./support/process.mts";

const server = await startServer({ hba: ["host all weak 127.0.0.1/32 md5", "host all nobody 127.0.0.1/32 reject"] });
after(server.cleanup);

// Such that it is written in another way in a URL, and that no part of it is a word of a message.
const PASSWORD = "Zq7 'pä\\ss@w:rd/%";
const WRONG = "Wr0ng#Kx9!vQ";

/** Every way in which a password may be written. */
const SECRETS = [PASSWORD, WRONG].flatMap((password) => [
  password,
  encodeURIComponent(password),
  JSON.stringify(password).slice(1, -1),
  password.replaceAll(/[\\']/g, "\\$&"),
  Buffer.from(password).toString("base64"),
  Buffer.from(password).toString("hex"),
  password.slice(0, 5),
  password.slice(-5),
]);

function checkSecrets(report: Report): void {
  for (const [name, outcomes] of Object.entries(report)) {
    for (const { text } of outcomes) {
      for (const secret of SECRETS) assert.ok(!text.includes(secret), `${name}: ${secret} is in ${text}`);
    }
  }
}

/** The code that each of a driver's calls was rejected with. */
function codes(outcomes: Report[string]): (string | undefined)[] {
  // The last one is what the driver itself looks like.
  return [...new Set((outcomes.length > 1 ? outcomes.slice(0, -1) : outcomes).map(({ code }) => code))];
}

function urlFor(user: string, password: string, { host = server.host, port = server.port, rest = "postgres" } = {}) {
  return `postgresql://${user}:${encodeURIComponent(password)}@${host}:${port}/${rest}`;
}

async function createRole(name: string, encryption: string): Promise<void> {
  const sql = "SELECT format('CREATE ROLE %I LOGIN SUPERUSER PASSWORD %L', $1::text, $2::text) AS sql";
  const [create] = await query(server.url, sql, [name, PASSWORD]);
  await query(server.url, `SET password_encryption = '${encryption}'; ${create.sql}`);
}

test("whatever fails, nothing is unhandled, nothing is printed, and the password is in no error", async (t) => {
  await createRole("strong", "scram-sha-256");
  await createRole("weak", "md5");
  const url = urlFor("strong", PASSWORD);
  await query(url, "SELECT 1");
  const silent = await startProxy(server);
  t.after(() => silent.close());
  silent.pause();
  const closed = await startProxy(server);
  await closed.close();
  await query(server.url, "CREATE SCHEMA foreigner CREATE TABLE sessions (number int)");
  const [host, port] = [server.host, server.port];
  const quick = { queryTimeoutMs: 300, connectTimeoutMs: 300 };
  const quoted = (text: string) => `'${text.replaceAll(/[\\']/g, "\\$&")}'`;

  const task: Task = {
    "a wrong password": { connectionString: urlFor("strong", WRONG) },
    "a wrong password, as a list": {
      connectionString: `host=${host} port=${port} user=strong password=${quoted(WRONG)}`,
    },
    "a wrong password, md5": { connectionString: urlFor("weak", WRONG) },
    "a user who is rejected": { connectionString: urlFor("nobody", PASSWORD) },
    "a user who does not exist": { connectionString: urlFor("stranger", PASSWORD) },
    "a database that does not exist": { connectionString: urlFor("strong", PASSWORD, { rest: "missing" }) },
    "a host that does not exist": {
      connectionString: urlFor("strong", PASSWORD, { host: "missing.invalid" }),
      ...quick,
    },
    "a port that refuses": { connectionString: urlFor("strong", PASSWORD, { port: closed.port }), ...quick },
    "a host that is silent": { connectionString: urlFor("strong", PASSWORD, { port: silent.port }), ...quick },
    "a server without TLS": { connectionString: `${url}?sslmode=require` },
    "a table that is not ours": { connectionString: url, schema: "foreigner" },
    "tables that are missing": { connectionString: url, schema: "missing", migrate: false },
    "a setting that nobody knows": { connectionString: `${url}?no_such_setting=${encodeURIComponent(PASSWORD)}` },
    "a port that is no number": { connectionString: url.replace(`:${port}`, ":port") },
    "a password that is not encoded": { connectionString: `postgresql://strong:${PASSWORD}@${host}:${port}/postgres` },
    "a list that is broken": { connectionString: `host=${host} user=strong password='${WRONG} dbname=postgres` },
    "something that is no connection string": { connectionString: `${WRONG} ${PASSWORD}` },
    "the password as another option": { connectionString: url, schema: "", tablePrefix: PASSWORD },
    "an option that nobody knows": { connectionString: url, secret: PASSWORD } as object,
  };
  const child = start(t, "postgres-fail.mts");
  assert.equal(await child.next(), "loaded");
  child.send(task);
  const report = await child.next<Report>();
  for (const [name, outcomes] of Object.entries(report)) {
    assert.ok(!codes(outcomes).includes(undefined), `${name}: a call was not rejected`);
    assert.ok(!codes(outcomes).includes("ERR_PERSIST_INTERNAL"), `${name}: ${outcomes[0].text}`);
  }
  checkSecrets(report);
  assert.deepEqual(codes(report["a wrong password"]), ["ERR_PERSIST_UNAVAILABLE"]);
  assert.deepEqual(codes(report["a port that refuses"]), ["ERR_PERSIST_UNAVAILABLE"]);
  assert.deepEqual(codes(report["a table that is not ours"]), ["ERR_PERSIST_FOREIGN_TABLE"]);
  assert.deepEqual(codes(report["tables that are missing"]), ["ERR_PERSIST_SCHEMA"]);
  child.send("end");
  assert.deepEqual(await child.ended, { code: 0, signal: null, stderr: "" });
});

test("a server that ends, comes back and ends again is no event for a process with idle drivers", async (t) => {
  const proxy = await startProxy(server);
  t.after(() => proxy.close());
  const works: Task = {
    direct: { connectionString: server.url, schema: "idle", queryTimeoutMs: 2_000 },
    proxied: { connectionString: proxy.urlOf(server.url), schema: "idle", queryTimeoutMs: 2_000, idleTimeoutMs: 100 },
  };
  const child = start(t, "postgres-fail.mts");
  assert.equal(await child.next(), "loaded");
  const report = async () => {
    child.send(works);
    const found = await child.next<Report>();
    const texts = Object.values(found).flatMap((outcomes) => outcomes.map(({ text }) => text));
    assert.ok(!texts.some((text) => text.includes(server.password)));
    return Object.values(found).flatMap(codes);
  };
  assert.deepEqual(await report(), [undefined, undefined]);
  await query(
    server.url,
    "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname IS NOT NULL",
  );
  proxy.cut("reset");
  assert.deepEqual(await report(), [undefined, undefined]);
  proxy.pauseExisting();
  await server.stop("immediate");
  assert.deepEqual(await report(), ["ERR_PERSIST_UNAVAILABLE", "ERR_PERSIST_UNAVAILABLE"]);
  await server.start();
  assert.deepEqual(await report(), [undefined, undefined]);
  await server.stop("fast");
  t.after(server.start);
  child.send("end");
  assert.deepEqual(await child.ended, { code: 0, signal: null, stderr: "" });
});
