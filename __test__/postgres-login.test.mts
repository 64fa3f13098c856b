/**
 * Logging in to a Postgres server: every way to give a password and to ask for one, Unix sockets, the environment, and
 * what the driver says when it is not let in.
 */
import assert from "node:assert/strict";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";

import { PostgresSessionPersistDriver } from "../index.js";
import { logIn, loginProcess, type Options, type Refusal, refused, seen } from "./support/postgres/login.mts";
import { startProxy } from "./support/postgres/proxy.mts";
import { query, startServer } from "./support/postgres/server.mts";
import { allEvents, eventAt, sessionOf } from "./support/records.mts";

const IPV6 = await new Promise<boolean>((resolve) => {
  const listener = createServer();
  listener.once("error", () => resolve(false));
  listener.listen(0, "::1", () => listener.close(() => resolve(true)));
});

/** Each way in which a server may ask for a password, and the user whom it asks so. */
const METHODS = { "scram-sha-256": "scrambled", md5: "hashed", password: "plain", trust: "trusted" } as const;

const server = await startServer({
  unixSocket: true,
  settings: IPV6 ? ["listen_addresses = '127.0.0.1,::1'"] : [],
  hba: [
    "host all rejected all reject",
    "host all rejectedknown-to-few all reject",
    ...Object.entries(METHODS).flatMap(([method, user]) => [
      `local all ${user} ${method}`,
      `host all ${user} all ${method}`,
    ]),
  ],
});
after(server.cleanup);

const PASSWORD = "known-to-few";
for (const [method, user] of Object.entries(METHODS)) {
  const hash = method === "md5" ? "md5" : "scram-sha-256";
  await query(
    server.url,
    `SET password_encryption = '${hash}'; CREATE ROLE ${user} SUPERUSER LOGIN PASSWORD '${PASSWORD}'`,
  );
}
await query(server.url, `CREATE ROLE rejected SUPERUSER LOGIN PASSWORD '${PASSWORD}'; CREATE ROLE group_only`);

// Whoever is refused must not come a second time, and the proxy counts how often they come.
const proxy = await startProxy(server);
after(() => proxy.close());

/** For a login that is to fail because it is not tried again: its time ends after the test's own. */
const FOREVER = { queryTimeoutMs: 600_000 };

const ONCE = { timeout: 120_000 };

const urlFor = (user: string, password?: string, database = "postgres") =>
  `postgresql://${user}${password === undefined ? "" : `:${encodeURIComponent(password)}`}@127.0.0.1:${proxy.port}/${database}`;

/** A value in a list of name=value. */
const quoted = (value: string) => `'${value.replace(/[\\']/g, "\\$&")}'`;

/** The login fails with the first connection, and says where and what to do. */
async function refusedAtOnce(options: Options, ...secrets: string[]): Promise<Refusal> {
  const opened = proxy.opened;
  const error = await refused(server, { ...FOREVER, ...options }, ...secrets);
  assert.equal(proxy.opened - opened, 1, `it was tried ${proxy.opened - opened} times`);
  assert.equal(error.code, "ERR_PERSIST_UNAVAILABLE", error.message);
  assert.ok(error.message.includes(`127.0.0.1:${proxy.port}`), error.message);
  return error;
}

const folder = mkdtempSync(join(tmpdir(), "sandbox-agent-persist-"));
after(() => rmSync(folder, { recursive: true, force: true }));

describe("passwords", () => {
  for (const [method, user] of Object.entries(METHODS)) {
    test(`${method} lets in with the right password, over TCP and a Unix socket`, ONCE, async () => {
      assert.equal((await logIn(server, { connectionString: urlFor(user, PASSWORD) })).user, user);
      const socket = `host=${quoted(server.directory)} port=${server.port} user=${user} password=${PASSWORD} dbname=postgres`;
      const onSocket = await logIn(server, { connectionString: socket });
      assert.deepEqual([onSocket.user, onSocket.address], [user, null]);
    });

    if (method === "trust") continue;
    test(`${method} refuses a wrong password, at once`, ONCE, async () => {
      const error = await refusedAtOnce({ connectionString: urlFor(user, "wrong-secret") }, "wrong-secret");
      assert.equal(error.sqlState, "28P01");
      assert.match(error.message, /check .*pg_hba\.conf/);
    });

    test(`${method} without a password is refused, and the error says where to put one`, ONCE, async (t) => {
      const child = loginProcess(t, server);
      const opened = proxy.opened;
      const { code, message } = await child.refused({ HOME: folder }, { connectionString: urlFor(user), ...FOREVER });
      assert.equal(proxy.opened - opened, 1);
      assert.equal(code, "ERR_PERSIST_UNAVAILABLE");
      assert.match(
        message,
        /no password was given; write it into PGPASSWORD, the password file or the connection string/,
      );
    });
  }

  const odd = [
    "p@ss:w/o?r#d[]%&=+;,",
    "'single' \"double\" \\back\\",
    " begins and ends with a space ",
    "100%41%zz",
    "пароль 密码 😀",
    "\u00aa\u00a0\u2168",
    "{}|^~`<>$()!*",
    "-c",
    "\t\n",
  ];
  for (const password of odd) {
    test(`the password ${JSON.stringify(password)} is taken from each place as it is`, ONCE, async (t) => {
      await query(server.url, `CREATE ROLE odd SUPERUSER LOGIN; ALTER ROLE odd PASSWORD ${literal(password)}`);
      t.after(() => query(server.url, "DROP ROLE odd"));
      const places = [
        urlFor("odd", password),
        `${urlFor("odd")}?password=${encodeURIComponent(password)}`,
        `host=127.0.0.1 port=${proxy.port} user=odd password=${quoted(password)} dbname=postgres`,
      ];
      for (const connectionString of places) assert.equal((await logIn(server, { connectionString })).user, "odd");
      const child = loginProcess(t, server);
      const connectionString = urlFor("odd");
      assert.equal((await child.logIn({ PGPASSWORD: password }, { connectionString })).user, "odd");
      const wrong = `${password}-but-wrong`;
      await refusedAtOnce({ connectionString: urlFor("odd", wrong) }, wrong, encodeURIComponent(wrong));
    });
  }
});

describe("whoever is not let in", () => {
  test("an unknown user is refused as a wrong password is", ONCE, async () => {
    const error = await refusedAtOnce({ connectionString: urlFor("nobody_knows", PASSWORD) }, PASSWORD);
    assert.equal(error.sqlState, "28P01");
  });

  test(
    "where the : before a password is missing, the server's words do not show what it took for the user",
    ONCE,
    async () => {
      await query(server.url, `CREATE ROLE "rejected${PASSWORD}" LOGIN`);
      for (const user of ["scrambled", "rejected"]) {
        for (const database of ["", "/postgres", "/missing"]) {
          const connectionString = `postgresql://${user}${PASSWORD}@127.0.0.1:${proxy.port}${database}`;
          const error = await refusedAtOnce({ connectionString }, PASSWORD);
          if (user === "rejected") assert.match((error.cause as Error).message, /user "…"/);
        }
      }
    },
  );

  test("a missing database is named", ONCE, async () => {
    const error = await refusedAtOnce({ connectionString: urlFor("scrambled", PASSWORD, "missing") }, PASSWORD);
    assert.equal(error.sqlState, "3D000");
    assert.match(error.message, /database "missing" .*has no such database; create it/);
  });

  test("a rule of pg_hba.conf that rejects is told, with the server's words as cause", ONCE, async () => {
    const error = await refusedAtOnce({ connectionString: urlFor("rejected", PASSWORD) }, PASSWORD);
    assert.equal(error.sqlState, "28000");
    assert.match(error.message, /pg_hba\.conf/);
    assert.match((error.cause as Error).message, /pg_hba\.conf rejects connection/);
  });

  test("a role that may not log in is refused", ONCE, async () => {
    await query(server.url, `ALTER ROLE group_only PASSWORD '${PASSWORD}'`);
    const error = await refusedAtOnce({ connectionString: urlFor("group_only", PASSWORD) }, PASSWORD);
    assert.equal(error.sqlState, "28000");
    assert.match((error.cause as Error).message, /not permitted to log in/);
  });

  test("a server that has no connection left is tried until there is one", ONCE, async () => {
    await query(server.url, "CREATE DATABASE narrow CONNECTION LIMIT 0");
    const connectionString = urlFor("scrambled", PASSWORD, "narrow");
    await query(server.url, "ALTER ROLE scrambled NOSUPERUSER");
    try {
      const opened = proxy.opened;
      const login = logIn(server, { connectionString, ...FOREVER, schema: "of_scrambled" });
      login.catch(() => {});
      while (proxy.opened - opened < 2) await query(server.url, "SELECT pg_sleep(0.02)");
      await query(
        server.url,
        "GRANT CREATE ON DATABASE narrow TO scrambled; ALTER DATABASE narrow CONNECTION LIMIT -1",
      );
      assert.equal((await login).database, "narrow");
    } finally {
      await query(server.url, "ALTER ROLE scrambled SUPERUSER");
    }
  });

  test("a server that is not there is named, and so is what to check", ONCE, async () => {
    const gone = await startProxy(server);
    const { port } = gone;
    await gone.close();
    const error = await refused(server, {
      connectionString: `${server.url.replace(`:${server.port}/`, `:${port}/`)}`,
      queryTimeoutMs: 200,
    });
    assert.equal(error.code, "ERR_PERSIST_UNAVAILABLE");
    assert.match(error.message, new RegExp(`127\\.0\\.0\\.1:${port} cannot be reached: .*check the address`));
  });

  test("after a refusal the next call logs in anew", ONCE, async (t) => {
    const driver = new PostgresSessionPersistDriver({ connectionString: urlFor("late", PASSWORD), schema: "of_late" });
    t.after(() => driver.close());
    await assert.rejects(driver.getSession("s"), { code: "ERR_PERSIST_UNAVAILABLE", sqlState: "28P01" });
    await query(server.url, `CREATE ROLE late SUPERUSER LOGIN PASSWORD '${PASSWORD}'`);
    await driver.insertEvent("s", eventAt("s", 1));
    assert.deepEqual(await allEvents(driver, "s"), [eventAt("s", 1)]);
  });
});

describe("the environment", () => {
  const login = { PGHOST: "127.0.0.1", PGPORT: String(server.port), PGUSER: "scrambled", PGDATABASE: "postgres" };

  test("the PG* variables alone are enough, and the connection string wins over them", ONCE, async (t) => {
    const child = loginProcess(t, server);
    const environment = { ...login, PGPASSWORD: PASSWORD };
    assert.equal((await child.logIn(environment)).user, "scrambled");
    assert.equal((await child.logIn({ ...environment, PGHOST: server.directory })).address, null);
    const { user } = await child.logIn({ ...environment, PGUSER: "nobody" }, { connectionString: "user=plain" });
    assert.equal(user, "plain");
    assert.equal(
      (await child.logIn({ ...environment, PGPASSWORD: "x" }, { connectionString: urlFor("plain", PASSWORD) })).user,
      "plain",
    );
  });

  test("without a host it is localhost, and without a database that of the user's name", ONCE, async (t) => {
    const child = loginProcess(t, server);
    const { PGPORT } = login;
    await query(server.url, "CREATE DATABASE scrambled");
    const { database, address } = await child.logIn({ PGPORT, PGUSER: "scrambled", PGPASSWORD: PASSWORD });
    assert.equal(database, "scrambled");
    assert.ok(address === "127.0.0.1" || address === "::1");
  });

  test("the password file that PGPASSFILE, passfile= or the home directory names is read", ONCE, async (t) => {
    const child = loginProcess(t, server);
    const home = join(folder, "home");
    mkdirSync(home);
    const path = join(folder, "passwords");
    const lines = [
      `127.0.0.1:1:*:*:wrong`,
      `# 127.0.0.1:${server.port}:*:*:wrong`,
      `127.0.0.1:${server.port}:postgres:scrambled:${PASSWORD}`,
      `${server.directory.replace(/[\\:]/g, "\\$&")}:*:*:plain:${PASSWORD}`,
      `*:*:*:*:wrong`,
    ];
    for (const file of [path, join(home, ".pgpass")]) writeFileSync(file, `${lines.join("\n")}\n`, { mode: 0o600 });
    assert.equal((await child.logIn({ ...login, HOME: folder, PGPASSFILE: path })).user, "scrambled");
    assert.equal((await child.logIn({ ...login, HOME: home })).user, "scrambled");
    assert.equal(
      (await child.logIn({ ...login, HOME: folder }, { connectionString: `passfile=${quoted(path)}` })).user,
      "scrambled",
    );
    const onSocket = { ...login, PGHOST: server.directory, PGUSER: "plain", HOME: home };
    assert.deepEqual((await child.logIn(onSocket)).user, "plain");
    // The password that is given wins over the one in the file.
    await child.logIn({ ...login, PGUSER: "plain", PGPASSWORD: PASSWORD, HOME: home });
    await child.refused({ ...login, PGUSER: "plain", HOME: home });
    await child.refused({ ...login, PGPASSWORD: "wrong", HOME: home });
  });

  for (const mode of [0o644, 0o640, 0o620]) {
    test(`a password file of mode ${mode.toString(8)} is not used, and the error says what to do`, ONCE, async (t) => {
      const child = loginProcess(t, server);
      const home = join(folder, `home-${mode}`);
      mkdirSync(home);
      const path = join(home, ".pgpass");
      writeFileSync(path, `*:*:*:*:${PASSWORD}\n`);
      chmodSync(path, mode);
      for (const environment of [{ HOME: home }, { HOME: folder, PGPASSFILE: path }] as Record<string, string>[]) {
        const { code, message } = await child.refused({ ...login, ...environment });
        assert.equal(code, "ERR_PERSIST_UNAVAILABLE");
        assert.ok(message.includes(`${path} was not used`) && message.includes("chmod 0600"), message);
      }
      chmodSync(path, 0o600);
      await child.logIn({ ...login, HOME: home });
    });
  }

  test("a password file that is missing or has no fitting line is named in the error", ONCE, async (t) => {
    const child = loginProcess(t, server);
    const path = join(folder, "other");
    const attempt = () => child.refused({ ...login, HOME: folder, PGPASSFILE: path });
    assert.ok((await attempt()).message.includes(`${path} was not used`));
    writeFileSync(path, "elsewhere:*:*:*:secret-of-another\n", { mode: 0o600 });
    const { message, shown } = await attempt();
    assert.ok(message.includes(`no line of ${path} matches`), message);
    assert.ok(!shown?.includes("secret-of-another"));
  });

  test("PGSERVICE is refused, since nothing would come of it", ONCE, async (t) => {
    const { code, message } = await loginProcess(t, server).refused({ ...login, PGSERVICE: "mine" });
    assert.equal(code, "ERR_PERSIST_INVALID_ARGUMENT");
    assert.match(message, /PGSERVICE/);
  });
});

describe("addresses and names", () => {
  const { port, directory } = server;

  test("a Unix socket may be named in each form", ONCE, async () => {
    const socket = encodeURIComponent(directory);
    for (const connectionString of [
      `postgresql://plain:${PASSWORD}@${socket}:${port}/postgres`,
      `postgres://plain:${PASSWORD}@/postgres?host=${socket}&port=${port}`,
      `host=${quoted(directory)} port=${port} user=plain password=${PASSWORD} dbname=postgres`,
    ]) {
      assert.equal((await logIn(server, { connectionString })).address, null);
    }
  });

  test("a socket that is not there is named", ONCE, async () => {
    const connectionString = `host=${quoted(folder)} port=${port} user=plain`;
    const { message } = await refused(server, { connectionString, queryTimeoutMs: 100 });
    assert.ok(message.includes(folder), message);
  });

  if (!IPV6) console.warn("\n*** NOT TESTED: this machine has no ::1 ***\n");
  test("IPv6 addresses and names are connected to", { ...ONCE, skip: !IPV6 && "this machine has no ::1" }, async () => {
    for (const connectionString of [
      `postgresql://plain:${PASSWORD}@[::1]:${port}/postgres`,
      `host=::1 port=${port} user=plain password=${PASSWORD} dbname=postgres`,
      `host=elsewhere.invalid hostaddr=::1 port=${port} user=plain password=${PASSWORD} dbname=postgres`,
    ]) {
      assert.equal((await logIn(server, { connectionString })).address, "::1");
    }
    const { message } = await refused(server, { connectionString: `postgresql://plain:wrong@[::1]:${port}/postgres` });
    assert.ok(message.includes(`[::1]:${port}`), message);
  });

  test("the server sees the name of the application", ONCE, async (t) => {
    const connectionString = `${urlFor("plain", PASSWORD)}?application_name=from_the_string`;
    const shows = async (name: string, options: Options) => {
      const driver = new PostgresSessionPersistDriver(options);
      await driver.ready();
      assert.equal((await seen(server, name)).user, "plain");
      await driver.close();
    };
    await shows("sandbox-agent-persist", { connectionString: urlFor("plain", PASSWORD) });
    await shows("from_the_string", { connectionString });
    await shows("from the option", { connectionString, applicationName: "from the option" });
    // This gives the name by PGAPPNAME, and looks for it.
    await loginProcess(t, server).logIn({}, { connectionString: urlFor("plain", PASSWORD) });
  });

  test("options= sets what the server takes, and a search_path does not lead the driver astray", ONCE, async (t) => {
    await query(
      server.url,
      "CREATE SCHEMA decoy; CREATE TABLE decoy.sessions (no text); CREATE TABLE decoy.events (no text)",
    );
    const url = urlFor("plain", PASSWORD);
    for (const connectionString of [
      `${url}?options=-c%20search_path%3Ddecoy`,
      `${url}?options=${encodeURIComponent("-csearch_path=decoy,public --work_mem=1MB")}`,
      `host=127.0.0.1 port=${proxy.port} user=plain password=${PASSWORD} dbname=postgres options='-c search_path=decoy'`,
    ]) {
      const driver = new PostgresSessionPersistDriver({ connectionString, schema: "not_astray" });
      t.after(() => driver.close());
      await driver.insertEvent("s", eventAt("s", 1));
      await driver.updateSession(sessionOf("s"));
      assert.deepEqual(await allEvents(driver, "s"), [eventAt("s", 1)]);
      assert.deepEqual(await driver.getSession("s"), sessionOf("s"));
      await driver.close();
    }
    const readonly = {
      connectionString: `${url}?options=-c%20default_transaction_read_only%3Don`,
      schema: "not_astray",
    };
    const driver = new PostgresSessionPersistDriver(readonly);
    t.after(() => driver.close());
    assert.deepEqual(await driver.getSession("s"), sessionOf("s"));
    await assert.rejects(driver.updateSession(sessionOf("s")), { code: "ERR_PERSIST_READONLY" });
    const child = loginProcess(t, server);
    const { message } = await child.refused({ PGOPTIONS: "-c no_such_setting=1" }, { connectionString: url });
    assert.match(message, /refused the connection/);
  });
});

/** SQL for a text. */
function literal(text: string): string {
  return `E'${text.replace(/[\\']/g, "\\$&")}'`;
}
