/** Users of the database who may not do everything: what suffices is used without asking for more, and what is missing is named. */
import assert from "node:assert/strict";
import { after, test } from "node:test";

import { PostgresSessionPersistDriver } from "../index.js";
import { LAYOUT_0_4, rowsOf } from "./support/postgres/layouts.mts";
import { PARTITIONED } from "./support/postgres/partitioned.mts";
import { contentsOf, makeSchema } from "./support/postgres/schema.mts";
import { query, startServer } from "./support/postgres/server.mts";
import { allEvents, eventAt, sessionOf } from "./support/records.mts";

const server = await startServer();
after(server.cleanup);
const { url } = server;
let roles = 0;

/** Makes a user with these rights, in which ROLE stands for the user, and gives its name and URL. */
async function makeRole(rights: string): Promise<{ role: string; roleUrl: string }> {
  const role = `role_${(roles += 1)}`;
  await query(url, `CREATE ROLE ${role} LOGIN PASSWORD 'secret-of-${role}'; ${rights.replaceAll("ROLE", role)}`);
  const own = new URL(url);
  own.username = role;
  own.password = `secret-of-${role}`;
  return { role, roleUrl: own.href };
}

/** The rights that docs/postgres.md names for the methods that the SDK calls. */
const enough = (schema: string) => `
  GRANT USAGE ON SCHEMA ${schema} TO ROLE;
  GRANT SELECT, INSERT, UPDATE ON ${schema}.sessions, ${schema}.events TO ROLE;
  GRANT SELECT ON ${schema}.persist_version TO ROLE;`;

async function makeReady(schema: string): Promise<string> {
  await using owner = new PostgresSessionPersistDriver({ connectionString: url, schema });
  await owner.ready();
  return schema;
}

/** Everything that a driver does: new writes, retries, conflicts, reads. */
async function useIt(driver: PostgresSessionPersistDriver, session: string): Promise<void> {
  await driver.ready();
  await driver.updateSession(sessionOf(session));
  await driver.updateSession(sessionOf(session, { agent: "other" }));
  await Promise.all([
    driver.insertEvent(session, eventAt(session, 1)),
    driver.insertEvent(session, eventAt(session, 2)),
  ]);
  await driver.insertEvent(session, eventAt(session, 2, { payload: { again: true } as never }));
  const late = eventAt(session, 1, { id: `${session}-late` });
  await driver.insertEvent(session, late);
  assert.equal(late.eventIndex, 3);
  assert.equal((await allEvents(driver, session, 1)).length, 3);
  assert.deepEqual(await driver.getSession(session), sessionOf(session, { agent: "other" }));
  assert.ok((await driver.listSessions()).items.length > 0);
}

for (const [what, fill] of [
  ["ready-made tables", () => ""],
  ["tables partitioned by hash", PARTITIONED],
] as const) {
  test(`on ${what}, the rights of docs/postgres.md are enough, with and without \`migrate\``, async () => {
    const schema = await makeSchema(url);
    await query(url, `SET search_path = ${schema}; ${fill(schema)}`);
    await makeReady(schema);
    const hasVersion = (await query(url, "SELECT to_regclass($1) AS found", [`${schema}.persist_version`]))[0].found;
    const rights = enough(schema);
    const { roleUrl } = await makeRole(hasVersion ? rights : rights.replace(/GRANT SELECT ON .*version TO ROLE;/, ""));
    for (const migrate of [true, false]) {
      await using driver = new PostgresSessionPersistDriver({ connectionString: roleUrl, schema, migrate });
      await useIt(driver, `migrate-${migrate}`);
    }
  });
}

for (const [what, take, doing] of [
  ["SELECT on persist_version", "REVOKE SELECT ON SCHEMA.persist_version FROM ROLE", "ready"],
  ["USAGE on the schema", "REVOKE USAGE ON SCHEMA SCHEMA FROM ROLE", "ready"],
  ["INSERT on events", "REVOKE INSERT ON SCHEMA.events FROM ROLE", "insertEvent"],
  ["SELECT on events", "REVOKE SELECT ON SCHEMA.events FROM ROLE", "listEvents"],
  ["UPDATE on sessions", "REVOKE UPDATE ON SCHEMA.sessions FROM ROLE", "updateSession"],
  ["SELECT on sessions", "REVOKE SELECT ON SCHEMA.sessions FROM ROLE", "getSession"],
  [
    "the right to other columns than id of events",
    `REVOKE INSERT ON SCHEMA.events FROM ROLE; GRANT INSERT (id) ON SCHEMA.events TO ROLE`,
    "insertEvent",
  ],
] as const) {
  test(`a user without ${what} is told what to ask for`, async () => {
    const schema = await makeReady(await makeSchema(url));
    // "ON SCHEMA SCHEMA" is SQL's word and then the name.
    const taken = take.replace("ON SCHEMA SCHEMA", `ON SCHEMA ${schema}`).replaceAll("SCHEMA.", `${schema}.`);
    const { roleUrl, role } = await makeRole(enough(schema) + taken);
    for (const migrate of [true, false]) {
      await using driver = new PostgresSessionPersistDriver({ connectionString: roleUrl, schema, migrate });
      const calls = {
        ready: () => driver.ready(),
        insertEvent: () => driver.insertEvent("s", eventAt("s", 1)),
        listEvents: () => driver.listEvents({ sessionId: "s" }),
        updateSession: () => driver.updateSession(sessionOf("s")),
        getSession: () => driver.getSession("s"),
      };
      await assert.rejects(calls[doing](), (error: any) => {
        assert.equal(error.code, "ERR_PERSIST_UNAVAILABLE");
        assert.equal(error.sqlState, "42501");
        assert.match(error.message, /grant SELECT, INSERT, UPDATE and DELETE on the tables, and USAGE/);
        assert.match(error.cause.message, /permission denied/);
        assert.ok(!JSON.stringify([error.message, error.cause.message]).includes(`secret-of-${role}`));
        return true;
      });
    }
    // Once granted, the same driver goes on.
    await using driver = new PostgresSessionPersistDriver({ connectionString: roleUrl, schema });
    await driver.insertEvent("s", eventAt("s", 1)).catch(() => {});
    await query(url, enough(schema).replaceAll("ROLE", role));
    await useIt(driver, "granted");
  });
}

test("a user who may not write labels is told so, by setLabels and by a fork, and with the right does both", async () => {
  const schema = await makeReady(await makeSchema(url));
  const reading = `GRANT SELECT ON ${schema}.session_labels, ${schema}.deleted_sessions TO ROLE;`;
  const { roleUrl, role } = await makeRole(enough(schema) + reading);
  await using driver = new PostgresSessionPersistDriver({ connectionString: roleUrl, schema });
  await useIt(driver, "s");
  const refusal = {
    code: "ERR_PERSIST_UNAVAILABLE",
    sqlState: "42501",
    message: /grant SELECT, INSERT, UPDATE and DELETE/,
  };
  await assert.rejects(driver.setLabels("s", { user: "u1" }), refusal);
  await assert.rejects(driver.forkSession("s", { id: "copy" }), refusal);
  assert.deepEqual(await driver.listEvents({ sessionId: "copy" }), { items: [] });
  await query(url, `GRANT INSERT, UPDATE, DELETE ON ${schema}.session_labels TO ${role}`);
  await driver.setLabels("s", { user: "u1" });
  await driver.forkSession("s", { id: "copy" });
  assert.deepEqual(await driver.getLabels("copy"), { user: "u1", forkedFrom: "s", forkedThrough: "3" });
});

test("rights to single columns are enough, if they are to all of ours", async () => {
  const schema = await makeReady(await makeSchema(url));
  await query(url, `ALTER TABLE ${schema}.events ADD secret TEXT; ALTER TABLE ${schema}.sessions ADD secret TEXT`);
  const columns = {
    sessions: `id, agent, agent_session_id, last_connection_id, created_at, destroyed_at, sandbox_id, session_init_json,
      config_options_json, modes_json, extra_json`,
    events: "id, event_index, session_id, created_at, connection_id, sender, payload_json, extra_json",
  };
  const rights = Object.entries(columns).map(
    ([table, names]) => `GRANT SELECT (${names}), INSERT (${names}), UPDATE (${names}) ON ${schema}.${table} TO ROLE;`,
  );
  const { roleUrl } = await makeRole(
    `GRANT USAGE ON SCHEMA ${schema} TO ROLE; GRANT SELECT ON ${schema}.persist_version TO ROLE; ${rights.join("")}`,
  );
  await using driver = new PostgresSessionPersistDriver({ connectionString: roleUrl, schema });
  await useIt(driver, "s");
});

for (const [what, layout, rights, steps] of [
  [
    "may not create tables in the schema",
    "",
    "GRANT USAGE ON SCHEMA NAME TO ROLE",
    /create the table of sessions; create the table of events/,
  ],
  ["has no right to the schema at all", "", "", /create the table of sessions; create the table of events/],
  [
    "does not own the older tables",
    LAYOUT_0_4,
    "GRANT USAGE, CREATE ON SCHEMA NAME TO ROLE; GRANT ALL ON ALL TABLES IN SCHEMA NAME TO ROLE",
    /add column extra_json to sessions.*payload_json of events from jsonb to json/,
  ],
] as const) {
  test(`a user who ${what} is told which steps are missing, and who can do them`, async () => {
    const schema = await makeSchema(url, layout && layout + rowsOf([["a", 1, "s", 1]]));
    const { roleUrl } = await makeRole(rights.replaceAll("NAME", schema));
    const before = await contentsOf(url, schema);
    for (const call of ["ready", "listSessions"] as const) {
      await using driver = new PostgresSessionPersistDriver({ connectionString: roleUrl, schema });
      await assert.rejects(driver[call](), (error: any) => {
        assert.equal(error.code, "ERR_PERSIST_SCHEMA");
        assert.equal(error.sqlState, "42501");
        assert.match(error.message, steps);
        // Who may: the owner of the tables, or whoever may create in the schema.
        assert.match(error.message, /owner/);
        assert.doesNotMatch(error.message, /grant SELECT, INSERT, UPDATE and DELETE/);
        return true;
      });
    }
    assert.deepEqual(await contentsOf(url, schema), before);
  });
}

test("a user who may not create schemas uses one that is there, and is told of one that is missing", async () => {
  const schema = await makeSchema(url);
  const { roleUrl, role } = await makeRole(`GRANT USAGE, CREATE ON SCHEMA ${schema} TO ROLE`);
  {
    await using driver = new PostgresSessionPersistDriver({ connectionString: roleUrl, schema });
    await useIt(driver, "s");
  }
  await using driver = new PostgresSessionPersistDriver({ connectionString: roleUrl, schema: "missing" });
  await assert.rejects(driver.ready(), (error: any) => {
    assert.equal(error.code, "ERR_PERSIST_SCHEMA");
    assert.match(error.message, /create the schema; create the table of sessions/);
    return true;
  });
  // Somebody makes it, and the same driver goes on.
  await query(url, `CREATE SCHEMA missing AUTHORIZATION ${role}`);
  await useIt(driver, "s");
});

test("a user who owns the database makes everything", async () => {
  const database = await server.createDatabase();
  const { role, roleUrl } = await makeRole("");
  await query(url, `ALTER DATABASE ${new URL(database).pathname.slice(1)} OWNER TO ${role}`);
  const own = new URL(roleUrl);
  own.pathname = new URL(database).pathname;
  for (const schema of ["public", "made"]) {
    await using driver = new PostgresSessionPersistDriver({ connectionString: own.href, schema });
    await useIt(driver, "s");
  }
});

test("row-level security that forbids a row is an error, and what it allows works", async () => {
  const schema = await makeReady(await makeSchema(url));
  const { roleUrl } = await makeRole(enough(schema));
  await query(
    url,
    `ALTER TABLE ${schema}.events ENABLE ROW LEVEL SECURITY;
     CREATE POLICY mine ON ${schema}.events USING (session_id LIKE 'mine%')`,
  );
  await using driver = new PostgresSessionPersistDriver({ connectionString: roleUrl, schema });
  await useIt(driver, "mine");
  await driver.updateSession(sessionOf("theirs"));
  const results = await Promise.allSettled([
    driver.insertEvent("theirs", eventAt("theirs", 1)),
    driver.insertEvent("mine", eventAt("mine", 9)),
  ]);
  assert.deepEqual(
    results.map(({ status }) => status),
    ["rejected", "fulfilled"],
  );
  const { reason } = results[0] as PromiseRejectedResult;
  assert.equal(reason.sqlState, "42501");
  assert.match(reason.cause.message, /row-level security/);
  assert.deepEqual(await query(url, `SELECT 1 FROM ${schema}.events WHERE session_id = 'theirs'`), []);
});

test("row-level security that hides rows of a session never lets one be replaced or lost", async () => {
  const schema = await makeReady(await makeSchema(url));
  const { roleUrl } = await makeRole(enough(schema));
  await query(
    url,
    `ALTER TABLE ${schema}.events ENABLE ROW LEVEL SECURITY;
     CREATE POLICY writing ON ${schema}.events FOR INSERT WITH CHECK (true);
     CREATE POLICY reading ON ${schema}.events FOR SELECT USING (sender = 'agent')`,
  );
  await query(
    url,
    `INSERT INTO ${schema}.events VALUES ('hidden', 1, 's', 1, 'c', 'client', '{}'), ('seen', 2, 's', 1, 'c', 'agent', '{}')`,
  );
  await using driver = new PostgresSessionPersistDriver({ connectionString: roleUrl, schema });
  await assert.rejects(driver.insertEvent("s", eventAt("s", 1)), (error: any) => {
    assert.equal(error.sqlState, "23505");
    return true;
  });
  const stored = await query(url, `SELECT id FROM ${schema}.events ORDER BY event_index`);
  assert.deepEqual(stored.map(({ id }) => id), ["hidden", "seen"]); // prettier-ignore
});
