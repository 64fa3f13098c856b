/**
 * Connection strings of the Postgres driver: what is wrong with one is said by the constructor, and no piece of a password
 * shown.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { inspect } from "node:util";

import { PostgresSessionPersistDriver, type PostgresSessionPersistDriverOptions } from "../index.js";
import { thrown } from "./suites/arguments/refusals.mts";
import { assertHides } from "./support/postgres/login.mts";

/** Nothing listens there, and nothing is asked before the first call. */
const NOWHERE = "postgres://user@127.0.0.1:1/database";

const construct = (options: PostgresSessionPersistDriverOptions) => new PostgresSessionPersistDriver(options);

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
