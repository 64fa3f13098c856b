/**
 * The options of the Postgres driver: every wrong one is refused by the constructor, by its name and with no password
 * shown; what each does to the connections; what the driver keeps alive, and what it leaves behind.
 */
import assert from "node:assert/strict";
import { after, describe, test, type TestContext } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { inspect } from "node:util";

import pg from "pg";

import { PostgresSessionPersistDriver, type PostgresSessionPersistDriverOptions } from "../index.js";
import { event, methodArguments, NOT_OBJECTS, record, refused, SECRET, shown, thrown } from "./method-arguments.mts";
import { assertHides, uniqueName } from "./postgres/login.mts";
import { query, startServer } from "./postgres/server.mts";
import { allEvents, eventAt, sessionOf } from "./processes/records.mts";
import { start } from "./processes/start.mts";

type Options = PostgresSessionPersistDriverOptions;

const server = await startServer();
after(server.cleanup);

let schemas = 0;
const schema = () => `options_${(schemas += 1)}`;

/** Nothing listens there, and nothing is asked before the first call. */
const NOWHERE = "postgres://user@127.0.0.1:1/database";

const construct = (options: unknown) => new PostgresSessionPersistDriver(options as Options);

methodArguments({
  construct: (options = { connectionString: server.url, schema: schema() }) => construct(options),
  option: "connectionString",
  // Postgres has no text with U+0000.
  zero: false,
});

describe("options", () => {
  const wrong: [string, object, RegExp][] = [];
  const add = (name: string, values: unknown[], message: RegExp) => {
    for (const value of values) {
      const [first, second] = name.split(".");
      const options = second ? { [first]: { [second]: value } } : { [first]: value };
      wrong.push([`${name}: ${shown(value)}`, options, message]);
    }
  };
  const kinds = {
    "a string": [null, 5, true, {}, [], () => SECRET, Symbol(SECRET), 5n, new URL(NOWHERE), Buffer.from(SECRET)],
    "a number": [null, "5", true, {}, [5], () => 5, Symbol(SECRET), 5n, new Date(5)],
    "a boolean": [null, 0, 1, "true", {}, [], () => true, Symbol(SECRET), 5n],
    "a string, or a function": [
      null,
      5,
      true,
      {},
      [],
      Symbol(SECRET),
      5n,
      Promise.resolve(SECRET),
      Buffer.from(SECRET),
    ],
    "an object": [null, 5, "require", [], () => SECRET, Symbol(SECRET), 5n],
  };
  const types: Record<keyof Options, keyof typeof kinds> & Record<string, keyof typeof kinds> = {
    connectionString: "a string",
    password: "a string, or a function",
    schema: "a string",
    tablePrefix: "a string",
    maxConnections: "a number",
    connectTimeoutMs: "a number",
    acquireTimeoutMs: "a number",
    queryTimeoutMs: "a number",
    idleTimeoutMs: "a number",
    maxLifetimeMs: "a number",
    applicationName: "a string",
    ssl: "an object",
    migrate: "a boolean",
    onEventIndexConflict: "a string",
    drainTimeoutMs: "a number",
    "ssl.mode": "a string",
    "ssl.ca": "a string",
    "ssl.cert": "a string",
    "ssl.key": "a string",
    "ssl.servername": "a string",
  };
  for (const [name, kind] of Object.entries(types)) {
    const path = name.replace(".", "\\.");
    add(name, kinds[kind], new RegExp(`^options\\.${path} must be ${kind}.*, it is (null|an? \\w+)`));
  }
  const limits = {
    connectTimeoutMs: 1,
    acquireTimeoutMs: 1,
    queryTimeoutMs: 1,
    idleTimeoutMs: 0,
    maxLifetimeMs: 0,
    drainTimeoutMs: 0,
  };
  for (const [name, least] of Object.entries(limits)) {
    const message = `^options\\.${name} must be a whole number of milliseconds from ${least} to 2147483647, it is `;
    add(name, [least - 1, least + 0.5, NaN, Infinity, -Infinity, 2 ** 31, 1e300], new RegExp(message));
  }
  add(
    "maxConnections",
    [1, 0, -1, 2.5, NaN, Infinity, 10_001],
    /^options\.maxConnections must be a whole number from 2 to 10000, it is /,
  );
  add("schema", ["", "a\u0000b", "x".repeat(64), "ä".repeat(32)], /^options\.schema must be the name of a schema/);
  add(
    "tablePrefix",
    ["1a", "a-b", "a b", 'a"b', "a.b", "ä_", "a\u0000", "pg_", "PG_x", "sqlite_", "x".repeat(41)],
    /^options\.tablePrefix must be at most 40 letters, digits and underscores/,
  );
  add("applicationName", ["a\u0000b"], /^options\.applicationName must not hold a NUL/);
  add("password", [`${SECRET}\u0000`], /^options\.password must not hold a NUL/);
  add(
    "onEventIndexConflict",
    ["", "Reject", "replace"],
    /^options\.onEventIndexConflict must be "reassign" or "reject", it is "/,
  );
  add("ssl.mode", ["", "on", "Require", "allow", "verify"], /^options\.ssl\.mode must be "disable" or .*, it is "/);
  add("ssl.ca", ["", "/etc/ca.crt", SECRET], /^options\.ssl\.ca must be PEM text/);
  add("ssl.cert", ["", "./client.crt"], /^options\.ssl\.cert must be PEM text/);
  add("ssl.key", ["", SECRET], /^options\.ssl\.key must be PEM text/);
  add("ssl.servername", ["", "a b", "host:5432", "a\u0000"], /^options\.ssl\.servername must be the name/);
  for (const name of ["connectionString", "password", "schema", "applicationName", "ssl.mode", "ssl.servername"]) {
    add(name, ["\ud800"], new RegExp(`^options\\.${name.replace(".", "\\.")} must be well-formed Unicode`));
  }
  const begin = (what: string) => `-----BEGIN ${what}-----\n${SECRET}\n-----END ${what}-----`;
  wrong.push(
    ["ssl.ca that holds no certificate", { ssl: { ca: begin("PRIVATE KEY") } }, /^options\.ssl\.ca /],
    ["ssl.ca that is damaged", { ssl: { ca: begin("CERTIFICATE") } }, /^options\.ssl\.ca /],
    ["ssl.ca with a mode that verifies nothing", { ssl: { mode: "no-verify", ca: begin("CERTIFICATE") } }, /^options\.ssl\.ca/], // prettier-ignore
    ["ssl.cert without a key", { ssl: { cert: begin("CERTIFICATE") } }, /options\.ssl\.key or sslkey/],
    ["ssl.key without a certificate", { ssl: { key: begin("PRIVATE KEY") } }, /options\.ssl\.cert or sslcert/],
    [
      "ssl.key that is encrypted",
      { ssl: { cert: begin("CERTIFICATE"), key: begin("ENCRYPTED PRIVATE KEY") } },
      /^options\.ssl\.(key|cert) /,
    ],
  );

  for (const [what, options, message] of wrong) {
    test(`${what} is refused`, () => {
      const error = thrown(() => construct({ connectionString: NOWHERE, ...options }), message);
      assertHides(error, [SECRET]);
    });
  }

  for (const [meant, names] of Object.entries({
    connectionString: ["connectionstring", "connectionUri", "url", "uri", "dsn", "databaseUrl", "conectionString"],
    schema: ["schemaName", "shema", "search_path"],
    tablePrefix: ["table_prefix", "prefix"],
    maxConnections: ["poolSize", "pool_size", "maxConnection", "connectionLimit", "maxPoolSize"],
    connectTimeoutMs: ["connectTimeout", "connectionTimeout", "connect_timeout_ms", "connectTimeoutSeconds"],
    acquireTimeoutMs: ["acquireTimeout", "poolTimeout"],
    queryTimeoutMs: ["queryTimeout", "statementTimeout"],
    idleTimeoutMs: ["idleTimeout"],
    maxLifetimeMs: ["maxLifetime"],
    applicationName: ["applicationname", "appName"],
    ssl: ["SSL", "tls"],
    migrate: ["migrations"],
    onEventIndexConflict: ["onConflict"],
    "connectTimeoutMs, acquireTimeoutMs, queryTimeoutMs, idleTimeoutMs or drainTimeoutMs": ["timeout"],
  })) {
    for (const name of names) {
      test(`${name}, which is no option, is refused, and ${meant} named`, () => {
        const message = new RegExp(`^options\\.${name} is not an option; use ${meant}$`);
        for (const value of [SECRET, undefined])
          assertHides(
            thrown(() => construct({ [name]: value }), message),
            [SECRET],
          );
      });
    }
  }

  for (const [name, meant] of [
    ["filename", "filename"],
    ["busyTimeoutMs", "busyTimeoutMs"],
    ["readonly", "readonly"],
    ["file", "filename"],
    ["path", "filename"],
    ["dbPath", "filename"],
  ]) {
    test(`${name} is refused as what the SQLite driver takes`, () => {
      const message = `^options\\.${name} is not an option of PostgresSessionPersistDriver; .*${meant}.* SQLiteSessionPersistDriver`;
      thrown(() => construct({ [name]: SECRET }), new RegExp(message));
    });
  }

  test("what is near to nothing is refused with the list of all options", () => {
    for (const name of ["colour", "verbose", "x", "", "types"])
      thrown(
        () => construct({ [name]: SECRET }),
        /is not an option; the options are connectionString, .*, drainTimeoutMs$/,
      );
    thrown(
      () => construct({ ssl: { colour: SECRET } }),
      /^options\.ssl\.colour is not an option; the options are mode, ca, cert, key, servername$/,
    );
  });

  for (const [unknown, meant] of Object.entries({
    sslmode: "mode",
    CA: "ca",
    serverName: "servername",
    keys: "key",
    certificate: "cert",
    sslrootcert: "ca",
    host: "servername",
  })) {
    test(`the unknown option ssl.${unknown} is refused, and ${meant} named`, () => {
      const message = new RegExp(`^options\\.ssl\\.${unknown} is not an option; use ${meant}$`);
      thrown(() => construct({ ssl: { [unknown]: SECRET } }), message);
    });
  }

  for (const [option, instead] of Object.entries({
    pool: /connectionString/,
    client: /connectionString/,
    poolConfig: /connectionString/,
    host: /PGHOST/,
    port: /PGPORT/,
    user: /PGUSER/,
    database: /PGDATABASE/,
    max: /maxConnections/,
    min: /idleTimeoutMs/,
    idleTimeoutMillis: /idleTimeoutMs/,
    connectionTimeoutMillis: /connectTimeoutMs/,
    maxLifetimeSeconds: /maxLifetimeMs/,
    statement_timeout: /queryTimeoutMs/,
    query_timeout: /queryTimeoutMs/,
    lock_timeout: /queryTimeoutMs/,
    application_name: /applicationName/,
    keepAlive: /keepalives/,
    allowExitOnIdle: /never keeps the process alive/,
    options: /connectionString/,
  })) {
    test(`${option}, an option of pg, is refused with what to use instead`, () => {
      const error = thrown(
        () => construct({ [option]: SECRET }),
        new RegExp(`^options\\.${option} is an option of .pg`),
        instead,
      );
      assertHides(error, [SECRET]);
    });
  }

  test("ssl as pg takes it is refused with what to use instead", () => {
    for (const ssl of [true, false, "require"])
      thrown(() => construct({ ssl }), /^options\.ssl must be an object/, /mode/);
    thrown(() => construct({ ssl: { rejectUnauthorized: false } }), /^options\.ssl\.rejectUnauthorized/, /"no-verify"/);
    thrown(() => construct({ ssl: { checkServerIdentity: () => {} } }), /^options\.ssl\.checkServerId/, /verify-ca/);
  });

  for (const [what, options, kind] of NOT_OBJECTS) {
    if (options === undefined || options === null) continue;
    test(`options that are ${what} are refused`, () => {
      thrown(() => construct(options), /^options must be an object, it is /, kind);
    });
  }

  test("a getter that throws is named, with the very error as cause", () => {
    const own = new RangeError("the program's own");
    for (const name of Object.keys(types)) {
      const [first, second] = name.split(".");
      const thrower = Object.defineProperty({}, second ?? first, { enumerable: true, get: () => { throw own; } }); // prettier-ignore
      const error = thrown(
        () => construct(second ? { ssl: thrower } : thrower),
        new RegExp(`${second ?? first} threw`),
      );
      assert.equal(error.cause, own);
    }
  });

  test("options may be undefined or at their edges", async (t) => {
    const connectionString = server.url;
    for (const options of [
      Object.fromEntries(Object.keys(types).map((name) => [name.split(".")[0], undefined])),
      { ssl: { mode: undefined, ca: undefined, cert: undefined, key: undefined, servername: undefined } },
      { maxConnections: 2, connectTimeoutMs: 2 ** 31 - 1, acquireTimeoutMs: 2 ** 31 - 1, queryTimeoutMs: 2 ** 31 - 1 },
      { maxConnections: 10_000, idleTimeoutMs: 0, maxLifetimeMs: 0 },
      { idleTimeoutMs: 2 ** 31 - 1, maxLifetimeMs: 2 ** 31 - 1, migrate: true, onEventIndexConflict: "reassign" },
      { idleTimeoutMs: 1, maxLifetimeMs: 1 },
      { tablePrefix: "_x".repeat(20) },
      { tablePrefix: "select", applicationName: "" },
    ] satisfies Options[]) {
      for (const name of [schema(), `"odd 'schema ${(schemas += 1)} ä😀`]) {
        const driver = construct({ ...options, connectionString, schema: name });
        t.after(() => driver.close());
        await driver.insertEvent("s", event());
        await driver.updateSession(record());
        assert.deepEqual(await driver.listEvents({ sessionId: "s" }), { items: [event()] });
        assert.deepEqual(await driver.listSessions(), { items: [record()] });
        await driver.close();
      }
    }
  });

  test("later changes of the options object change nothing", async (t) => {
    const options: Options = { connectionString: server.url, schema: schema(), onEventIndexConflict: "reject" };
    const driver = new PostgresSessionPersistDriver(options);
    t.after(() => driver.close());
    Object.assign(options, { connectionString: NOWHERE, onEventIndexConflict: "reassign" });
    await driver.insertEvent("s", event());
    await assert.rejects(driver.insertEvent("s", event({ id: "late" })), { code: "ERR_PERSIST_INDEX_CONFLICT" });
  });
});

describe("connection strings", () => {
  const unknown: [string, RegExp][] = [
    ["sslmod=require", /unknown parameter; perhaps `sslmode` is meant/],
    ["hots=a", /unknown parameter; perhaps `host` is meant/],
    ["pasword=Tr0ub4dor", /unknown parameter; perhaps `password` is meant/],
    // It may as well be the end of a password.
    ["Tr0ub4dor=5", /no parameter's name; a URL must begin with postgres:\/\//],
    ["colour=red", /unknown parameter; those that are used are application_name, .*, user$/],
  ];
  const parameters: [string, RegExp][] = [
    ["sslmode=on", /`sslmode` in options\.connectionString must be disable, prefer/],
    ["ssl=maybe", /`ssl` in options\.connectionString must be true or false/],
    ["sslnegotiation=no", /must be postgres or direct/],
    ["sslnegotiation=direct", /needs TLS: set sslmode/],
    ["sslrootcert=/no/such/file&sslmode=verify-full", /\/no\/such\/file/],
    ["sslrootcert=system&sslmode=require&uselibpqcompat=true", /verify-full/],
    ["sslcert=/no/such/file", /\/no\/such\/file/],
    ["uselibpqcompat=maybe", /must be true or false/],
    ["channel_binding=yes", /must be disable, prefer or require/],
    ["target_session_attrs=standby", /since this driver writes/],
    ["load_balance_hosts=yes", /must be disable or random/],
    ["connect_timeout=soon", /must be an integer/],
    ["keepalives_idle=soon", /must be an integer/],
    ["port=0", /a number from 1 to 65535/],
    ["port=65536", /a number from 1 to 65535/],
    ["hostaddr=localhost", /must be an IP address/],
    ["schema=a", /options\.schema/],
    ["search_path=a", /options\.schema/],
    ["pool_size=5", /options\.maxConnections/],
    ["connection_limit=5", /options\.maxConnections/],
    ["statement_timeout=5", /options\.queryTimeoutMs/],
    ["pool_timeout=5", /options\.acquireTimeoutMs/],
    ["service=a", /service files are not read/],
    ["sslcrl=a", /revocation/],
    ["sslpassword=Tr0ub4dor", /encrypted keys/],
    ["requirepeer=postgres", /cannot be enforced/],
    ["require_auth=scram-sha-256", /channel_binding=require/],
    ["client_encoding=latin1", /must be utf8/],
    ["gssencmode=require", /use sslmode/],
  ];
  for (const [parameter, message] of [...unknown, ...parameters]) {
    test(`${parameter} is refused, in a URL and in a list of name=value`, () => {
      const forms = [`${NOWHERE}?${parameter}`, `host=127.0.0.1 user=user ${parameter.replaceAll("&", " ")}`];
      for (const connectionString of forms) {
        const error = thrown(() => construct({ connectionString }), message);
        assertHides(error, ["Tr0ub4dor"]);
      }
    });
  }

  const broken: [string, RegExp][] = [
    ["", /is empty/],
    [" \n", /is empty/],
    ["postgres://a\u0000", /NUL/],
    ["mysql://user:Tr0ub4dor@host/database", /begins neither with postgres:\/\/ nor/],
    ["user:Tr0ub4dor@host/database", /options\.connectionString/],
    ["Tr0ub4dor", /options\.connectionString/],
    ["postgres//user:Tr0ub4dor@host/database", /options\.connectionString/],
    ["postgres://user:Tr0ub4dor/Staple9@host/database", /write \/ as %2F/],
    ["postgres://user:Tr0ub4dor?Staple9@host/database", /write \/ as %2F and \? as %3F/],
    ["postgres://user:Tr0ub4dor%Staple9@host/database", /write % itself as %25/],
    ["postgres://user:Tr0ub4dor%ff@host/database", /UTF-8/],
    ["postgres://user:Tr0ub4dor@host:Staple9/database", /a number from 1 to 65535/],
    ["postgres://user:Tr0ub4dor@[::1/database", /\[ and no \]/],
    ["postgres://user:Tr0ub4dor@[::1]Staple9/database", /port after the \]/],
    ["postgres://user:Tr0ub4dor@host/database?Staple9", /without a =/],
    ["postgres://user@host/database?password=Tr0ub4dor&Staple9=1", /unknown parameter after its password/],
    ["user=me password=Tr0ub4dor Staple9 host=h", /without a = after it/],
    ["user=me password=Tr0ub4dor Staple9=x host=h", /unknown parameter after its password/],
    ["user=me password='Tr0ub4dor Staple9", /closing single quote is missing/],
    ["user=me password='Tr0ub4dor'Staple9 host=h", /right after a closing single quote/],
    ["user= password=Tr0ub4dor host=h", /name with no value/],
    ["dbname=postgres://user:Tr0ub4dor@host/database user=me", /the name of a database/],
    ["postgres:user:Tr0ub4dor@host/database?sslmode=require", /must begin with postgres:\/\//],
    ["postgres:/user:Tr0ub4dor=Staple9@host/database", /must begin with postgres:\/\//],
    ["host=h user=userpassword=Tr0ub4dor", /put a space between parameters/],
    ["postgres://host/database?sslcert=/a.crtpassword=Tr0ub4dor", /put & between parameters/],
    ["postgres://user:5/Tr0ub4dor/host/database", /second \/ after its host/],
  ];
  for (const [connectionString, message] of broken) {
    test(`${JSON.stringify(connectionString)} is refused, and no piece of a password shown`, () => {
      const error = thrown(() => construct({ connectionString }), message);
      assertHides(error, ["Tr0ub4dor", "Staple9"]);
    });
  }

  for (const character of [..." !\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~\t\n", "%2", "%zz", "://", "@@", "=''", "\u0000"]) {
    test(`a password with ${JSON.stringify(character)} as it is shows in no error, whatever becomes of it`, async () => {
      const password = `Tr0ub4dor${character}Staple9`;
      for (const connectionString of [
        `postgres://user:${password}@127.0.0.1:1/database`,
        `postgres://127.0.0.1:1/database?user=user&password=${password}`,
        `host=127.0.0.1 port=1 user=user password=${password} dbname=database`,
        `host=127.0.0.1 port=1 user=user password='${password}' dbname=database`,
        `password=${password}`,
      ]) {
        let driver: PostgresSessionPersistDriver | undefined;
        try {
          driver = construct({ connectionString, queryTimeoutMs: 1, connectTimeoutMs: 100 });
          assert.ok(!inspect(driver, { depth: null, showHidden: true }).includes("Tr0ub4dor"));
          await driver.ready();
          assert.fail("it was let in");
        } catch (error) {
          assert.match((error as { code: string }).code, /^ERR_PERSIST_(INVALID_ARGUMENT|UNAVAILABLE|TIMEOUT)$/);
          assertHides(error, ["Tr0ub4dor", "Staple9"]);
        } finally {
          await driver?.close();
        }
      }
    });
  }
});

/** A driver with a name of its own, which the server shows for its connections. */
function opened(t: TestContext, options: Options = {}) {
  const applicationName = uniqueName();
  const name = options.schema ?? schema();
  const driver = construct({ connectionString: server.url, schema: name, applicationName, ...options });
  t.after(() => driver.close());
  return { driver, applicationName, schema: name };
}

/** The server's processes for the connections of a driver. */
async function backends(applicationName: string): Promise<number[]> {
  const sql = "SELECT pid FROM pg_stat_activity WHERE application_name = $1 ORDER BY pid";
  return (await query(server.url, sql, [applicationName])).map(({ pid }) => pid);
}

/** Asks again until it is so. */
async function until(isSo: () => Promise<boolean>, what: string): Promise<void> {
  const deadline = Date.now() + 20_000;
  while (!(await isSo())) {
    if (Date.now() > deadline) assert.fail(`${what} did not come true`);
    await delay(20);
  }
}

/** Holds a lock on a table, so that whoever reads or writes it waits, until it is released or the test ends. */
async function locked(t: TestContext, table: string): Promise<() => Promise<void>> {
  const client = new pg.Client({ connectionString: server.url });
  await client.connect();
  let held = true;
  const release = async () => {
    if (held) await client.end();
    held = false;
  };
  t.after(release);
  await client.query(`BEGIN; LOCK TABLE ${table} IN ACCESS EXCLUSIVE MODE`);
  return release;
}

describe("connections", () => {
  const limit = { timeout: 60_000 };

  for (const maxConnections of [2, 3, 7]) {
    test(`maxConnections: ${maxConnections} is the most under a flood of reads and writes`, limit, async (t) => {
      const { driver, applicationName, schema } = opened(t, { maxConnections });
      await driver.insertEvent("s0", eventAt("s0", 1));
      const release = await locked(t, `${schema}.events`);
      const calls: Promise<unknown>[] = [];
      for (let number = 0; number < 300; number += 1) {
        const session = `s${number}`;
        calls.push(driver.insertEvent(session, eventAt(session, 1)), driver.listEvents({ sessionId: session }));
        calls.push(driver.getSession(session), driver.updateSession(sessionOf(session)));
        if (number % 30 === 0) await new Promise((resolve) => setImmediate(resolve));
      }
      // What waits for the lock holds its connection, so writes that come later need others, for as long as there are.
      let late = 300;
      await until(async () => {
        late += 1;
        calls.push(driver.insertEvent(`s${late}`, eventAt(`s${late}`, 1)));
        return (await backends(applicationName)).length >= maxConnections;
      }, "the use of all connections");
      for (let number = 0; number < 10; number += 1) {
        late += 1;
        calls.push(driver.insertEvent(`s${late}`, eventAt(`s${late}`, 1)));
        await backends(applicationName);
      }
      const most: number[] = [(await backends(applicationName)).length];
      await release();
      let flooding = true;
      const flood = Promise.all(calls).finally(() => (flooding = false));
      while (flooding) most.push((await backends(applicationName)).length);
      await flood;
      assert.ok(Math.max(...most) <= maxConnections, `there were ${Math.max(...most)}`);
      assert.equal((await allEvents(driver, "s299")).length, 1);
    });
  }

  test("acquireTimeoutMs ends the waiting for a connection, and what has one goes on", limit, async (t) => {
    const { driver, schema } = opened(t, { maxConnections: 2, acquireTimeoutMs: 100 });
    await driver.insertEvent("s", eventAt("s", 1));
    const release = await locked(t, `${schema}.events`);
    const has = driver.listEvents({ sessionId: "s" });
    await until(async () => {
      const [{ waiting }] = await query(server.url, "SELECT count(*)::int AS waiting FROM pg_locks WHERE NOT granted");
      return waiting > 0;
    }, "the waiting for the lock");
    const waits = { name: "Error", code: "ERR_PERSIST_TIMEOUT", message: /acquireTimeoutMs.*maxConnections/ };
    await assert.rejects(driver.getSession("s"), waits);
    // Reads and writes have connections of their own.
    await driver.updateSession(sessionOf("s"));
    await release();
    assert.deepEqual((await has).items, [eventAt("s", 1)]);
    assert.deepEqual(await driver.getSession("s"), sessionOf("s"));
  });

  test("idleTimeoutMs closes connections that nobody uses, and calls open new ones", limit, async (t) => {
    const { driver, applicationName } = opened(t, { idleTimeoutMs: 100 });
    for (const round of [1, 2]) {
      await Promise.all([
        driver.insertEvent("s", eventAt("s", round)),
        ...Array(5)
          .fill(0)
          .map(() => driver.getSession("s")),
      ]);
      await until(async () => (await backends(applicationName)).length === 0, "the end of all connections");
    }
    const { driver: other, applicationName: kept } = opened(t, { idleTimeoutMs: 0 });
    await other.insertEvent("s", eventAt("s", 1));
    const before = await backends(kept);
    // As long as it took the one with a limit, twice over.
    await driver.getSession("s");
    await until(async () => (await backends(applicationName)).length === 0, "the end of all connections");
    assert.deepEqual(await backends(kept), before);
  });

  test("maxLifetimeMs replaces connections, in use or not", limit, async (t) => {
    const { driver, applicationName } = opened(t, { maxLifetimeMs: 200, idleTimeoutMs: 0 });
    const seen = new Set<number>();
    let index = 0;
    await until(async () => {
      index += 1;
      await driver.insertEvent("s", eventAt("s", index));
      for (const pid of await backends(applicationName)) seen.add(pid);
      return seen.size >= 4;
    }, "a third generation of connections");
    assert.equal((await allEvents(driver, "s")).length, index);
    await until(async () => (await backends(applicationName)).length === 0, "the end of those that are not used");
  });

  test("close ends what was called before, refuses what comes after, and leaves no connection", limit, async (t) => {
    const { driver, applicationName, schema } = opened(t);
    await driver.ready();
    const release = await locked(t, `${schema}.events`);
    const closed = { name: "Error", code: "ERR_PERSIST_CLOSED", message: /^the driver is closed/ };
    let over = false;
    const before = Array.from({ length: 200 }, (_, at) => driver.insertEvent(`s${at % 7}`, eventAt(`s${at % 7}`, at)));
    const read = driver.listEvents({ sessionId: "s0" });
    const closing = Promise.all([driver.close(), driver.close(), driver[Symbol.asyncDispose]()]).then(
      () => (over = true),
    );
    const calls = {
      ready: () => driver.ready(),
      getSession: () => driver.getSession("s"),
      listSessions: () => driver.listSessions(),
      updateSession: () => driver.updateSession(record()),
      listEvents: () => driver.listEvents({ sessionId: "s" }),
      insertEvent: () => driver.insertEvent("s", event()),
    };
    assert.equal(over, false);
    await release();
    await closing;
    for (const [name, call] of Object.entries(calls)) await assert.rejects(call(), closed, name);
    assert.deepEqual(await backends(applicationName), []);
    await Promise.all([...before, read]);
    const [{ count }] = await query(server.url, `SELECT count(*)::int FROM ${schema}.events`);
    assert.equal(count, 200);
    await driver.close();
    await refused(() => driver.getSession(5 as never), /^id must be a string/);
  });

  test("close before the first call, and of a driver that never got in, resolves", limit, async (t) => {
    const { driver, applicationName } = opened(t);
    await Promise.all([driver.close(), driver.close()]);
    await assert.rejects(driver.ready(), { code: "ERR_PERSIST_CLOSED" });
    assert.deepEqual(await backends(applicationName), []);
    const nowhere = construct({ connectionString: NOWHERE, queryTimeoutMs: 200 });
    const write = assert.rejects(nowhere.insertEvent("s", event()), { code: "ERR_PERSIST_UNAVAILABLE" });
    await nowhere.close();
    await write;
  });

  test("await using closes the driver at the end of the block", limit, async () => {
    const applicationName = uniqueName();
    {
      await using persist = construct({ connectionString: server.url, schema: schema(), applicationName });
      await persist.insertEvent("s", event());
      assert.equal((await backends(applicationName)).length > 0, true);
    }
    assert.deepEqual(await backends(applicationName), []);
    assert.deepEqual(Object.keys(construct({ connectionString: NOWHERE })), []);
  });
});

describe("the process", { skip: process.platform !== "linux" && "it counts threads and files in /proc" }, () => {
  // Node ends a process with code 1 at the first unhandled rejection, so code 0 says that there was none.
  const ENDED_WELL = { code: 0, signal: null, stderr: "" };
  const limit = { timeout: 60_000 };
  const upTo = (count: number) => Array.from({ length: count }, (_, number) => number + 1);
  const child = (t: TestContext, task: string, name: string, applicationName = uniqueName()) =>
    start(t, "postgres-life.mts", [
      task,
      JSON.stringify({ connectionString: server.url, schema: name, applicationName }),
    ]);

  async function stored(name: string, session: string): Promise<number[]> {
    const sql = `SELECT event_index::int AS index FROM ${name}.events WHERE session_id = $1 ORDER BY 1`;
    return (await query(server.url, sql, [session])).map(({ index }) => index);
  }

  test("drivers that are idle, failed or never used let it end by itself", limit, async (t) => {
    const name = schema();
    const applicationName = uniqueName();
    const ended = child(t, "idle", name, applicationName);
    assert.deepEqual(await ended.ended, ENDED_WELL);
    assert.deepEqual(ended.rest(), ["the loop is empty"]);
    assert.deepEqual(await stored(name, "s"), [1]);
    await until(async () => (await backends(applicationName)).length === 0, "the end of its connections");
  });

  test("writes that nobody awaits hold it until all are stored", limit, async (t) => {
    const name = schema();
    assert.deepEqual(await child(t, "write", name).ended, ENDED_WELL);
    assert.deepEqual(await stored(name, "s"), upTo(500));
  });

  test("a write that waits for a lock holds it until the lock is released", limit, async (t) => {
    const { driver, schema: name } = opened(t);
    await driver.ready();
    const release = await locked(t, `${name}.events`);
    const writing = child(t, "write", name);
    let over = false;
    void writing.ended.then(() => (over = true));
    assert.equal(await writing.next(), "the main program has ended");
    const waiting = "SELECT count(*)::int AS waiting FROM pg_locks WHERE NOT granted";
    await until(async () => (await query(server.url, waiting))[0].waiting > 0, "the waiting for the lock");
    assert.equal(over, false);
    await release();
    assert.deepEqual(await writing.ended, ENDED_WELL);
    assert.deepEqual(await stored(name, "s"), upTo(500));
  });

  test("process.exit in mid-write ends with its code, and what was acknowledged is stored", limit, async (t) => {
    for (const task of ["exit-at-once", "exit-in-mid-write"]) {
      const { driver, schema: name } = opened(t);
      await driver.ready();
      const exiting = child(t, task, name);
      assert.deepEqual(await exiting.ended, { code: 3, signal: null, stderr: "" });
      const acknowledged = exiting.rest<number>();
      const there = await stored(name, "s");
      assert.deepEqual(there, upTo(there.length));
      assert.ok(there.length >= Math.max(0, ...acknowledged), `${there.length} are stored`);
      assert.equal(acknowledged.length > 0, task === "exit-in-mid-write");
    }
  });

  interface Held {
    threads: number;
    files: number;
  }
  for (const [task, what] of [
    ["open-and-close", "opened and closed"],
    ["drop", "dropped without a close, and collected,"],
  ]) {
    test(`many drivers that are ${what} leave no thread, socket or connection`, limit, async (t) => {
      const applicationName = uniqueName();
      const name = schema();
      const options = JSON.stringify({ connectionString: server.url, schema: name, applicationName });
      const using = start(t, "postgres-life.mts", [task, options], ["--expose-gc"]);
      const { before, most, after } = await using.next<Record<"before" | "most" | "after", Held>>();
      // What proves that the counting counts: a driver has a thread and connections.
      assert.ok(most.threads > before.threads && most.files > before.files, inspect({ before, most }));
      assert.ok(after.threads <= before.threads && after.files <= before.files, inspect({ before, after }));
      await until(async () => (await backends(applicationName)).length === 0, "the end of its connections");
      assert.deepEqual(await using.ended, ENDED_WELL);
      // What was under way when a driver was dropped is stored all the same.
      assert.equal((await stored(name, "s")).length, task === "drop" ? 41 : 1);
    });
  }

  for (const where of ["everywhere", "workers"]) {
    test(`worker threads that end in mid-write leave it alive and lose nothing: ${where}`, limit, async (t) => {
      const { driver, schema: name } = opened(t);
      await driver.ready();
      const applicationName = uniqueName();
      const ending = child(t, `end-${where}`, name, applicationName);
      assert.deepEqual(await ending.ended, ENDED_WELL);
      const [acknowledged] = ending.rest<[string, number][]>();
      assert.ok(acknowledged.length >= 10);
      for (const [session, index] of acknowledged) {
        const there = await stored(name, session);
        assert.deepEqual(there, upTo(there.length));
        assert.ok(there.length >= index, `${session}: ${there.length} of ${index}`);
      }
      await until(async () => (await backends(applicationName)).length === 0, "the end of its connections");
    });
  }
});
