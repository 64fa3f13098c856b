/** The parts that the tests of the Postgres driver stand on do what they say; `pg` is the client here. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { connect } from "node:net";
import { createInterface } from "node:readline";
import { after, test, type TestContext } from "node:test";
import { setTimeout as delay } from "node:timers/promises";

import pg from "pg";

import { makeAuthority } from "./support/postgres/certificates.mts";
import { skipWithoutPgBouncer, startPgBouncer } from "./support/postgres/pgbouncer.mts";
import { startProxy } from "./support/postgres/proxy.mts";
import { query, startServer } from "./support/postgres/server.mts";
import { startStandby } from "./support/postgres/standby.mts";

const authority = makeAuthority();
const hosts = ["localhost", "127.0.0.1"];
const server = await startServer({
  ssl: { ...authority.issue({ hosts }), authority: authority.cert },
  unixSocket: true,
  hba: ["hostssl all certified 127.0.0.1/32 cert"],
});
after(server.cleanup);

const POSTGRES = new URL("./support/postgres/embedded.mts", import.meta.url).href;

/** A connection of `pg` that ends with the test, however broken it is by then. */
async function client(t: TestContext, config: string | pg.ClientConfig): Promise<pg.Client> {
  const made = new pg.Client(config);
  made.on("error", () => {});
  await made.connect();
  t.after(() => made.end().catch(() => {}));
  return made;
}

async function table(): Promise<string> {
  const url = await server.createDatabase();
  await query(url, "CREATE TABLE numbers (number int PRIMARY KEY)");
  return url;
}

async function numbers(url: string): Promise<number[]> {
  return (await query(url, "SELECT number FROM numbers ORDER BY number")).map((row) => row.number);
}

async function refuses(port: number): Promise<boolean> {
  const socket = connect({ host: "127.0.0.1", port });
  const [error] = await Promise.race([once(socket, "connect").then(() => []), once(socket, "error")]).catch((e) => [e]);
  socket.destroy();
  return error?.code === "ECONNREFUSED";
}

for (const version of [15, 16, 18] as const) {
  test(`PostgreSQL ${version} starts with its settings, and leaves no process and no file`, async () => {
    const one = await startServer({ version, settings: ["application_name = 'from the settings'"] });
    try {
      const [row] = await query(one.url, "SELECT current_setting('server_version_num')::int / 10000 AS version");
      assert.equal(row.version, version);
      const [{ listen, name }] = await query(
        one.url,
        "SELECT current_setting('listen_addresses') AS listen, current_setting('application_name') AS name",
      );
      assert.deepEqual([listen, name], ["127.0.0.1", "from the settings"]);
    } finally {
      await one.cleanup();
    }
    assert.throws(() => process.kill(one.pid, 0), { code: "ESRCH" });
    assert.equal(existsSync(one.directory), false);
    await one.cleanup();
  });
}

test("a start that fails says why, and leaves nothing", async () => {
  await assert.rejects(startServer({ settings: ["no_such_setting = 1"] }), /no_such_setting/);
});

test("each database is fresh, and may have another encoding", async () => {
  const [first, second] = [await table(), await server.createDatabase("ENCODING 'LATIN1'")];
  await query(first, "INSERT INTO numbers VALUES (1)");
  await assert.rejects(query(second, "SELECT * FROM numbers"), { code: "42P01" });
  assert.deepEqual(await query(second, "SHOW server_encoding"), [{ server_encoding: "LATIN1" }]);
});

test("an immediate stop, a SIGKILL and a fast stop keep what is committed, on the same port", async () => {
  const url = await table();
  const ends = [
    () => server.stop("immediate"),
    () => server.kill("SIGKILL"),
    () => server.kill("SIGQUIT"),
    () => server.stop("fast"),
    () => server.stop("smart"),
  ];
  for (const [number, end] of ends.entries()) {
    await query(url, "INSERT INTO numbers VALUES ($1)", [number]);
    await end();
    await assert.rejects(numbers(url), { code: "ECONNREFUSED" });
    await server.start();
    assert.equal((await numbers(url)).length, number + 1);
  }
});

test("a connection that is terminated fails, and others go on", async (t) => {
  const [one, other] = [await client(t, server.url), await client(t, server.url)];
  const [{ pid }] = (await one.query("SELECT pg_backend_pid() AS pid")).rows;
  await server.terminate(pid);
  await assert.rejects(one.query("SELECT 1"));
  await other.query("SELECT 1");
});

test("the Unix socket answers", async (t) => {
  const { directory: host, port, user, password, database } = server;
  const one = await client(t, { host, port, user, password, database });
  assert.deepEqual((await one.query("SELECT inet_server_addr() AS address")).rows, [{ address: null }]);
});

for (const synchronous of [false, true]) {
  test(`a ${synchronous ? "synchronous " : ""}standby has what the primary had, and takes over`, async (t) => {
    const primary = await startServer({ version: synchronous ? 18 : 15 });
    t.after(primary.cleanup);
    await query(primary.url, "CREATE TABLE numbers AS SELECT 1 AS number");
    const standby = await startStandby(primary, { synchronous });
    t.after(standby.cleanup);
    assert.deepEqual(await numbers(standby.url), [1]);
    await assert.rejects(query(standby.url, "INSERT INTO numbers VALUES (2)"), { code: "25006" });
    await query(primary.url, "INSERT INTO numbers VALUES (2)");
    if (!synchronous) await standby.catchUp();
    await primary.stop("immediate");
    await standby.promote();
    await query(standby.url, "INSERT INTO numbers VALUES (3)");
    assert.deepEqual(await numbers(standby.url), [1, 2, 3]);
  });
}

/** Whether this is still under way when the server has let in and answered somebody who came later. */
async function stillWaits(promise: Promise<unknown>): Promise<boolean> {
  let waits = true;
  const over = () => (waits = false);
  promise.then(over, over);
  await query(server.url, "SELECT 1");
  return waits;
}

async function proxied(t: TestContext) {
  const direct = await table();
  const proxy = await startProxy(server);
  t.after(() => proxy.close());
  return { proxy, direct, url: proxy.urlOf(direct) };
}

test("a paused proxy is silent on old and new connections until it is resumed", async (t) => {
  const { proxy, url } = await proxied(t);
  const one = await client(t, url);
  proxy.pause();
  const old = one.query("SELECT 1 AS one");
  const fresh = client(t, url);
  assert.ok(await stillWaits(old));
  assert.ok(await stillWaits(fresh));
  assert.equal(proxy.opened, 2);
  proxy.resume();
  assert.deepEqual((await old).rows, [{ one: 1 }]);
  await (await fresh).query("SELECT 1");
});

test("only the connections that are there go silent, and new ones work", async (t) => {
  const { proxy, url } = await proxied(t);
  const one = await client(t, url);
  proxy.pauseExisting();
  const old = one.query("SELECT 1");
  assert.deepEqual(await numbers(url), []);
  assert.ok(await stillWaits(old));
  proxy.resume();
  await old;
});

test("a proxy that refuses keeps its connections, and accepts on the same port again", async (t) => {
  const { proxy, url } = await proxied(t);
  const one = await client(t, url);
  proxy.refuse();
  await assert.rejects(numbers(url), { code: "ECONNREFUSED" });
  await one.query("SELECT 1");
  await proxy.accept();
  assert.deepEqual(await numbers(url), []);
  assert.equal(proxy.opened, 2);
});

for (const how of ["close", "reset"] as const) {
  test(`cut ends the connections by a ${how}, on both sides`, async (t) => {
    const { proxy, direct, url } = await proxied(t);
    const one = await client(t, url);
    await one.query("SET application_name = 'to be cut'");
    const error = once(one, "error");
    proxy.cut(how);
    const [{ message }] = await error;
    assert.match(message, how === "reset" ? /ECONNRESET/ : /terminated unexpectedly/);
    const sql = "SELECT count(*)::int AS there FROM pg_stat_activity WHERE application_name = 'to be cut'";
    while ((await query(direct, sql))[0].there > 0) await delay(20);
    assert.equal(proxy.open, 0);
  });
}

// The answer to the first comes in many pieces, the last one after a while.
const inserts: [string, (one: pg.Client, number: number) => Promise<unknown>][] = [
  [
    "a simple query",
    (one, number) =>
      one.query(`INSERT INTO numbers VALUES (${number}); SELECT repeat('x', 1000000); SELECT pg_sleep(0.1)`),
  ],
  ["an extended query", (one, number) => one.query("INSERT INTO numbers VALUES ($1)", [number])],
];

for (const [kind, send] of inserts) {
  test(`the answer to ${kind} is lost after it is carried out, the request before`, async (t) => {
    const { proxy, direct, url } = await proxied(t);
    const insert = async (number: number) => {
      const one = await client(t, url);
      await one.query("SELECT 1");
      await send(one, number);
    };
    const answer = proxy.dropAnswerOnce(/^INSERT/);
    const lost = assert.rejects(insert(1), /terminated unexpectedly/);
    await answer;
    assert.deepEqual(await numbers(direct), [1]);
    await lost;

    const request = proxy.dropRequestOnce(/^INSERT/);
    await assert.rejects(insert(2), /terminated unexpectedly/);
    await request;
    assert.deepEqual(await numbers(direct), [1]);

    await insert(3);
    assert.deepEqual(await numbers(direct), [1, 3]);
  });
}

test("of a transaction, only the answer to the COMMIT is lost; the connection is silent, and then speaks", async (t) => {
  const { proxy, direct, url } = await proxied(t);
  const one = await client(t, url);
  const dropped = proxy.dropAnswerOnce(/^COMMIT/, "silence");
  await one.query("BEGIN");
  await one.query("INSERT INTO numbers SELECT generate_series(1, 3)");
  const commit = one.query("COMMIT");
  await dropped;
  assert.deepEqual(await numbers(direct), [1, 2, 3]);
  assert.ok(await stillWaits(commit));
  proxy.resume();
  await commit;
});

test("a connection is cut in the middle of what the server or the client says, encrypted or not", async (t) => {
  const { proxy, direct, url } = await proxied(t);
  for (const ssl of [undefined, { ca: authority.cert }]) {
    const one = await client(t, { connectionString: url, ssl });
    const cut = proxy.cutAfter(1_000_000, "server");
    await assert.rejects(one.query("SELECT repeat('x', 10000) FROM generate_series(1, 1000)"));
    await cut;
    const other = await client(t, { connectionString: url, ssl });
    const cutToo = proxy.cutAfter(20, "client");
    await assert.rejects(other.query("INSERT INTO numbers VALUES (1)"));
    await cutToo;
  }
  assert.deepEqual(await numbers(direct), []);
});

test("PgBouncer shares few connections among many clients", { skip: skipWithoutPgBouncer() }, async (t) => {
  const direct = await table();
  const pgbouncer = await startPgBouncer(server);
  t.after(pgbouncer.cleanup);
  const url = pgbouncer.urlOf(direct);
  await query(url, "INSERT INTO numbers VALUES (1)");
  assert.deepEqual(await numbers(direct), [1]);
  const clients = await Promise.all(Array.from({ length: 20 }, () => client(t, url)));
  const answers = await Promise.all(clients.map((one) => one.query("SELECT pg_backend_pid() AS pid")));
  assert.ok(new Set(answers.map(({ rows }) => rows[0].pid)).size <= 3);
  await assert.rejects(query(`${url}?options=-c%20statement_timeout=1`, "SELECT 1"), /unsupported startup parameter/);

  await pgbouncer.kill();
  assert.ok(await refuses(pgbouncer.port));
  await pgbouncer.start();
  assert.deepEqual(await numbers(url), [1]);
  await pgbouncer.cleanup();
  assert.throws(() => process.kill(pgbouncer.pid, 0), { code: "ESRCH" });
});

test("the server's certificate is good for those who trust its authority, and for nobody else", async (t) => {
  const one = await client(t, { connectionString: server.url, ssl: { ca: authority.cert } });
  const sql = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
  assert.deepEqual((await one.query(sql)).rows, [{ ssl: true }]);
  const stranger = makeAuthority().cert;
  await assert.rejects(client(t, { connectionString: server.url, ssl: { ca: stranger } }), /certificate/);
});

for (const algorithm of ["ec", "rsa"] as const) {
  test(`a certificate with an ${algorithm} key makes its user known, and nobody else`, async (t) => {
    await query(server.url, "DROP ROLE IF EXISTS certified");
    await query(server.url, "CREATE ROLE certified LOGIN");
    const { host, port, database } = server;
    const as = (certificate: object) =>
      client(t, { host, port, database, user: "certified", ssl: { ca: authority.cert, ...certificate } });
    const request = { client: "certified", algorithm };
    for (const keyFormat of ["pkcs8", "traditional"] as const) {
      const one = await as(authority.issue({ ...request, keyFormat }));
      assert.deepEqual((await one.query("SELECT current_user AS name")).rows, [{ name: "certified" }]);
    }
    if (algorithm === "rsa") return;
    await assert.rejects(as(authority.issue({ ...request, client: "another" })), { code: "28000" });
    await assert.rejects(as(authority.issue({ ...request, expired: true })), /expired/);
    await assert.rejects(as(makeAuthority().issue(request)), /unknown ca/);
  });
}

test("certificates for another host and expired ones are refused for what they are", async (t) => {
  const bad = [
    [authority.issue({ hosts: ["elsewhere.example"] }), "ERR_TLS_CERT_ALTNAME_INVALID"],
    [authority.issue({ hosts, expired: true }), "CERT_HAS_EXPIRED"],
  ] as const;
  for (const [certificate, code] of bad) {
    const one = await startServer({ ssl: certificate });
    t.after(one.cleanup);
    await assert.rejects(client(t, { connectionString: one.url, ssl: { ca: authority.cert } }), { code });
  }
});

const ends = ["SIGTERM", "SIGINT", "SIGKILL", "process.exit(7)", "throw new Error('thrown')"];

test("when a process ends without a cleanup, its server and its directory go, and its exit code stays", async () => {
  await Promise.all(
    ends.map(async (end) => {
      const script = `
        import { startPostgres } from ${JSON.stringify(POSTGRES)};
        const { port, directory } = await startPostgres();
        console.log(JSON.stringify({ port, directory }));
        ${end.startsWith("SIG") ? "" : end}`;
      const child = spawn(process.execPath, ["--import", "tsx", "--input-type=module", "--eval", script], {
        stdio: ["ignore", "pipe", "ignore"],
      });
      const closed = once(child, "close");
      const [line] = await once(createInterface({ input: child.stdout }), "line");
      const { port, directory } = JSON.parse(line);
      if (end.startsWith("SIG")) child.kill(end as NodeJS.Signals);
      // Its pipe closes too: nothing that it started holds it.
      const [code, signal] = await closed;
      assert.equal(signal ?? code, end.startsWith("SIG") ? end : end.startsWith("throw") ? 1 : 7);
      while (existsSync(directory)) await delay(20);
      while (!(await refuses(port))) await delay(20);
    }),
  );
});

test("a process that has cleaned up ends by itself, with the exit code that was set", async () => {
  const script = `
    import { startPostgres } from ${JSON.stringify(POSTGRES)};
    process.exitCode = 7;
    const postgres = await startPostgres();
    await postgres.cleanup();`;
  const child = spawn(process.execPath, ["--import", "tsx", "--input-type=module", "--eval", script], {
    stdio: "ignore",
  });
  assert.deepEqual(await once(child, "close"), [7, null]);
});
