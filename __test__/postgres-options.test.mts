/**
 * The options of the Postgres driver: every wrong one is refused by the constructor, by its name and with no password
 * shown. What a connection string holds is in postgres-connection-strings.test.mts.
 */
import assert from "node:assert/strict";
import { after, describe, test } from "node:test";

import { PostgresSessionPersistDriver, type PostgresSessionPersistDriverOptions } from "../index.js";
import { methodArguments } from "./suites/arguments.mts";
import { event, record, thrown } from "./suites/arguments/refusals.mts";
import { NOT_OBJECTS, SECRET, shown } from "./suites/arguments/wrong-values.mts";
import { assertHides } from "./support/postgres/login.mts";
import { startServer } from "./support/postgres/server.mts";

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
    maxEventsPerSession: "a number",
    maxSessions: "a number",
    slowMs: "a number",
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
    slowMs: 0,
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
  for (const name of ["maxEventsPerSession", "maxSessions"] as const) {
    const message = new RegExp(`^options\\.${name} must be a whole number from 1 to 2147483647, it is `);
    add(name, [0, -1, 2.5, NaN, Infinity, -Infinity, 2 ** 31, 1e300], message);
  }
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
