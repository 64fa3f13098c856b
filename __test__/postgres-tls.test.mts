/**
 * TLS to a Postgres server: what each mode does with each certificate, however the mode is given; client certificates,
 * direct negotiation and channel binding. The server itself says whether a connection is encrypted.
 */
import assert from "node:assert/strict";
import { createHash, X509Certificate } from "node:crypto";
import { once } from "node:events";
import { chmodSync, chownSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { type AddressInfo, connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import type { TLSSocket } from "node:tls";

import pg from "pg";

import { type Certificate, makeAuthority, makeSelfSigned } from "./support/postgres/certificates.mts";
import { logIn, loginProcess, type Options, type Refusal, refused } from "./support/postgres/login.mts";
import { startProxy } from "./support/postgres/proxy.mts";
import { query, startServer } from "./support/postgres/server.mts";

const authority = makeAuthority();
const stranger = makeAuthority("Another authority");
const TLS_HANDSHAKE = 22;

const hosts = ["localhost", "127.0.0.1"];
const right = authority.issue({ hosts });
const selfSigned = makeSelfSigned(hosts);

const server = await startServer({
  ssl: { ...right, authority: authority.cert },
  hba: [
    "hostssl all certified 127.0.0.1/32 cert",
    "host all hashed 127.0.0.1/32 md5",
    "hostssl all trusted 127.0.0.1/32 trust",
    "hostnossl all encrypted 127.0.0.1/32 reject",
  ],
});
after(server.cleanup);

const folder = mkdtempSync(join(tmpdir(), "sandbox-agent-persist-"));
after(() => rmSync(folder, { recursive: true, force: true }));

/** The path of a file with this text, which nobody else may read. */
function file(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text, { mode: 0o600 });
  return path;
}

// Whoever is refused must not come a second time, and the proxy counts how often they come.
const proxy = await startProxy(server);
after(() => proxy.close());

/** For a login that is to fail because it is not tried again: its time ends after the test's own. */
const FOREVER = { queryTimeoutMs: 600_000 };

const ONCE = { timeout: 120_000 };

/** The login fails with the first connection, and says where and what to do. */
async function refusedAtOnce(options: Options): Promise<Refusal> {
  const opened = proxy.opened;
  const error = await refused(server, { ...FOREVER, ...options });
  assert.equal(proxy.opened - opened, 1, `it was tried ${proxy.opened - opened} times`);
  assert.equal(error.code, "ERR_PERSIST_UNAVAILABLE", error.message);
  assert.ok(error.message.includes(`127.0.0.1:${proxy.port}`), error.message);
  return error;
}

/** Makes the server show this certificate from now on, or speak no TLS at all. */
async function serve(certificate: Certificate | undefined): Promise<void> {
  if (certificate) {
    writeFileSync(join(server.dataDirectory, "server.crt"), certificate.cert);
    writeFileSync(join(server.dataDirectory, "server.key"), certificate.key);
  }
  await query(server.url, `ALTER SYSTEM SET ssl = ${certificate ? "on" : "off"}`);
  await query(server.url, "SELECT pg_reload_conf()");
  const wanted = certificate && createHash("sha256").update(new X509Certificate(certificate.cert).raw).digest("hex");
  const deadline = Date.now() + 120_000;
  while ((await shown()) !== wanted) {
    if (Date.now() > deadline) throw new Error("The server does not show its new certificate.");
    await delay(20);
  }
}

/** The hash of the certificate that the server shows. */
async function shown(): Promise<string | undefined> {
  const client = new pg.Client({ connectionString: server.url, ssl: { rejectUnauthorized: false } });
  client.on("error", () => {});
  try {
    await client.connect();
    const { stream } = client.connection;
    return createHash("sha256")
      .update((stream as TLSSocket).getPeerCertificate().raw)
      .digest("hex");
  } catch (error) {
    if (/does not support SSL/.test(String(error))) return undefined;
    throw error;
  } finally {
    await client.end().catch(() => {});
  }
}

const MODES = ["disable", "prefer", "require", "verify-ca", "verify-full", "no-verify"] as const;
type Mode = (typeof MODES)[number];

const VERIFYING: Mode[] = ["require", "verify-ca", "verify-full"];

/** The modes that trust this authority are told of it; the others would not accept that. */
const trusted = (mode: Mode, ca: string) => (VERIFYING.includes(mode) ? ca : undefined);

/** The ways to give a mode, and the file with the authority, to a driver. */
const ways: Record<string, (url: string, mode: Mode, ca: string) => Options> = {
  URL: (url, mode, ca) => {
    const path = trusted(mode, file("authority.crt", ca));
    return { connectionString: `${url}?sslmode=${mode}${path ? `&sslrootcert=${encodeURIComponent(path)}` : ""}` };
  },
  "list of name=value": (url, mode, ca) => {
    const { hostname, port, username, password, pathname } = new URL(url);
    const path = trusted(mode, file("authority.crt", ca));
    const login = `host=${hostname} port=${port} user=${username} password=${password} dbname=${pathname.slice(1)}`;
    return { connectionString: `${login} sslmode=${mode}${path ? ` sslrootcert='${path}'` : ""}` };
  },
  "options.ssl": (connectionString, mode, ca) => ({ connectionString, ssl: { mode, ca: trusted(mode, ca) } }),
};

interface Situation {
  what: string;
  certificate?: Certificate;
  /** Whom the client trusts. */
  ca?: string;
  /** What each mode comes to: encrypted, plain, or the advice of its error. */
  outcome: Partial<Record<Mode, "encrypted" | "plain" | RegExp>>;
}

const NO_TLS = /TLS/;
const OTHER_HOST = /options\.ssl\.servername/;
const OUT_OF_DATE = /renew the server's certificate/;
const UNKNOWN = /options\.ssl\.ca or sslrootcert/;
const all = <Outcome,>(outcome: Outcome) =>
  ({ require: outcome, "verify-ca": outcome, "verify-full": outcome }) as const;

const situations: Situation[] = [
  { what: "a server without TLS", outcome: { ...all(NO_TLS), prefer: "plain", "no-verify": NO_TLS } },
  { what: "the right certificate", certificate: right, outcome: all("encrypted") },
  {
    what: "a certificate for another host",
    certificate: authority.issue({ hosts: ["elsewhere.example"] }),
    outcome: { ...all(OTHER_HOST), "verify-ca": "encrypted" },
  },
  {
    what: "a certificate that has expired",
    certificate: authority.issue({ hosts, expired: true }),
    outcome: all(OUT_OF_DATE),
  },
  { what: "a certificate of another authority", certificate: stranger.issue({ hosts }), outcome: all(UNKNOWN) },
  {
    what: "a self-signed certificate that is trusted itself",
    certificate: selfSigned,
    ca: selfSigned.cert,
    outcome: all("encrypted"),
  },
  { what: "a self-signed certificate that nobody knows", certificate: selfSigned, outcome: all(UNKNOWN) },
];

for (const { what, certificate, ca = authority.cert, outcome } of situations) {
  const outcomes = MODES.map((mode) => {
    const usual = mode === "disable" ? "plain" : "encrypted";
    return [mode, outcome[mode] ?? usual] as const;
  });

  describe(what, () => {
    before(() => serve(certificate));

    for (const [way, options] of Object.entries(ways)) {
      for (const [mode, expected] of outcomes) {
        const name = `${mode} in the ${way}: ${expected instanceof RegExp ? "refused" : expected}`;
        test(name, ONCE, async () => {
          const given = options(proxy.urlOf(server.url), mode, ca);
          if (expected instanceof RegExp) assert.match((await refusedAtOnce(given)).message, expected);
          else assert.equal((await logIn(server, given)).encrypted, expected === "encrypted");
        });
      }
    }

    test("the same by PGSSLMODE and PGSSLROOTCERT", ONCE, async (t) => {
      const child = loginProcess(t, server);
      for (const [mode, expected] of outcomes) {
        const path = trusted(mode, file("authority.crt", ca));
        const environment = { PGSSLMODE: mode, ...(path && { PGSSLROOTCERT: path }) };
        const options = { connectionString: proxy.urlOf(server.url) };
        if (expected instanceof RegExp) {
          const opened = proxy.opened;
          const { code, message } = await child.refused(environment, { ...options, ...FOREVER });
          assert.deepEqual([code, proxy.opened - opened], ["ERR_PERSIST_UNAVAILABLE", 1], mode);
          assert.match(message, expected);
        } else {
          assert.equal((await child.logIn(environment, options)).encrypted, expected === "encrypted", mode);
        }
      }
    });
  });
}

describe("with the right certificate", () => {
  before(() => serve(right));
  const url = proxy.urlOf(server.url);
  const ca = authority.cert;
  const path = encodeURIComponent(file("right.crt", ca));

  test("it is verified in full when an authority is named and no mode", ONCE, async () => {
    assert.equal((await logIn(server, { connectionString: url, ssl: { ca } })).encrypted, true);
    assert.equal((await logIn(server, { connectionString: `${url}?sslrootcert=${path}` })).encrypted, true);
    for (const options of [
      { connectionString: url, ssl: { ca: stranger.cert } },
      { connectionString: `${url}?sslrootcert=${encodeURIComponent(file("stranger.crt", stranger.cert))}` },
    ]) {
      assert.match((await refusedAtOnce(options)).message, UNKNOWN);
    }
  });

  test("options.ssl wins over the connection string, and that over the environment", ONCE, async (t) => {
    const { encrypted } = await logIn(server, {
      connectionString: `${url}?sslmode=disable`,
      ssl: { mode: "no-verify" },
    });
    assert.equal(encrypted, true);
    const child = loginProcess(t, server);
    const options = { connectionString: `${url}?sslmode=disable` };
    assert.equal((await child.logIn({ PGSSLMODE: "verify-full" }, options)).encrypted, false);
  });

  test("sslmode=allow and ssl=true are understood", ONCE, async () => {
    assert.equal((await logIn(server, { connectionString: `${url}?sslmode=allow` })).encrypted, true);
    assert.equal((await logIn(server, { connectionString: `${url}?ssl=false` })).encrypted, false);
    assert.match((await refusedAtOnce({ connectionString: `${url}?ssl=true` })).message, UNKNOWN);
  });

  test("sslrootcert=system, or none, asks the authorities that the machine trusts", ONCE, async (t) => {
    const unaware = loginProcess(t, server);
    const aware = loginProcess(t, server);
    const trust = { SSL_CERT_FILE: file("system.crt", ca) };
    for (const parameters of ["sslmode=verify-full&sslrootcert=system", "sslrootcert=system", "sslmode=require"]) {
      const options = { connectionString: `${url}?${parameters}`, ...FOREVER };
      assert.match((await unaware.refused({}, options)).message, UNKNOWN);
      assert.equal((await aware.logIn(trust, options)).encrypted, true);
    }
    const { code, message } = await aware.refused(trust, {
      connectionString: `${url}?sslmode=verify-ca&sslrootcert=system`,
    });
    assert.equal(code, "ERR_PERSIST_INVALID_ARGUMENT");
    assert.match(message, /verify-full/);
  });

  test("ssl.servername is verified in place of the host", ONCE, async () => {
    const ssl = { mode: "verify-full", ca } as const;
    for (const servername of hosts) {
      assert.equal((await logIn(server, { connectionString: url, ssl: { ...ssl, servername } })).encrypted, true);
    }
    const error = await refusedAtOnce({ connectionString: url, ssl: { ...ssl, servername: "elsewhere.example" } });
    assert.match(error.message, OTHER_HOST);
  });

  test("sslnegotiation=direct begins with TLS, and the environment may ask for it", ONCE, async (t) => {
    const first: number[] = [];
    const listener = createServer((client) => {
      const target = connect(server.port, server.host);
      for (const [from, to] of [
        [client, target],
        [target, client],
      ] as const) {
        from.on("error", () => to.destroy()).on("close", () => to.destroy());
        from.pipe(to);
      }
      client.once("data", (bytes: Buffer) => first.push(bytes[0]));
    });
    t.after(() => listener.close());
    await once(listener.listen(0, server.host), "listening");
    const through = Object.assign(new URL(server.url), { port: (listener.address() as AddressInfo).port }).href;

    const parameters = `sslmode=verify-full&sslrootcert=${path}`;
    const connectionString = `${through}?${parameters}&sslnegotiation=direct`;
    assert.equal((await logIn(server, { connectionString })).encrypted, true);
    const child = loginProcess(t, server);
    const options = { connectionString: `${through}?${parameters}` };
    assert.equal((await child.logIn({ PGSSLNEGOTIATION: "direct" }, options)).encrypted, true);
    assert.equal((await child.logIn({}, options)).encrypted, true);
    assert.deepEqual(first, [TLS_HANDSHAKE, TLS_HANDSHAKE, 0]);
  });

  test("sslnegotiation=direct to a server that is too old for it says so", ONCE, async (t) => {
    const old = await startServer({ version: 16, ssl: right });
    t.after(old.cleanup);
    const connectionString = `${old.url}?sslmode=require&sslnegotiation=direct`;
    const { code, message } = await refused(old, { connectionString, ssl: { ca }, queryTimeoutMs: 500 });
    assert.equal(code, "ERR_PERSIST_UNAVAILABLE");
    assert.match(message, /sslnegotiation=direct needs PostgreSQL 17/);
  });

  test("channel_binding=require goes with SCRAM and TLS, and with nothing less", ONCE, async () => {
    const connectionString = `${url}?channel_binding=require`;
    const verified = { mode: "verify-full", ca } as const;
    assert.equal((await logIn(server, { connectionString, ssl: verified })).encrypted, true);
    assert.equal((await logIn(server, { connectionString, ssl: { mode: "no-verify" } })).encrypted, true);
    await refusedAtOnce({ connectionString, ssl: { mode: "disable" } });
    await query(server.url, "CREATE ROLE hashed LOGIN; CREATE ROLE trusted LOGIN");
    await query(server.url, "SET password_encryption = md5; ALTER ROLE hashed PASSWORD 'known'");
    for (const user of ["hashed", "trusted"]) {
      const login = new URL(connectionString);
      Object.assign(login, { username: user, password: "known" });
      const error = await refusedAtOnce({ connectionString: login.href, ssl: verified });
      assert.match(error.message, /channel binding/);
      login.searchParams.set("channel_binding", "prefer");
      await query(
        server.url,
        `GRANT ALL ON SCHEMA public TO ${user}; GRANT ALL ON ALL TABLES IN SCHEMA public TO ${user}`,
      );
      assert.equal((await logIn(server, { connectionString: login.href, ssl: verified })).user, user);
    }
  });

  test("pg_hba.conf may ask for TLS: a plain login is refused, and the error says so", ONCE, async () => {
    await query(server.url, "CREATE ROLE encrypted LOGIN PASSWORD 'known'");
    await query(
      server.url,
      "GRANT ALL ON SCHEMA public TO encrypted; GRANT ALL ON ALL TABLES IN SCHEMA public TO encrypted",
    );
    const login = Object.assign(new URL(url), { username: "encrypted", password: "known" });
    assert.equal((await logIn(server, { connectionString: login.href })).encrypted, true);
    const error = await refusedAtOnce({ connectionString: login.href, ssl: { mode: "disable" } });
    assert.equal(error.sqlState, "28000");
    assert.match(error.message, /pg_hba\.conf/);
    assert.match(String((error.cause as Error).message), /no encryption/);
  });
});

describe("a certificate for another host, and uselibpqcompat=true", () => {
  before(() => serve(authority.issue({ hosts: ["elsewhere.example"] })));
  const url = proxy.urlOf(server.url);
  const compatible = `${url}?uselibpqcompat=true`;

  test("require verifies nothing without an authority, and the chain alone with one", ONCE, async () => {
    assert.match((await refusedAtOnce({ connectionString: `${url}?sslmode=require` })).message, UNKNOWN);
    assert.equal((await logIn(server, { connectionString: `${compatible}&sslmode=require` })).encrypted, true);
    for (const [ca, known] of [
      [authority.cert, true],
      [stranger.cert, false],
    ] as const) {
      const options = { connectionString: `${compatible}&sslmode=require`, ssl: { ca } };
      if (known) assert.equal((await logIn(server, options)).encrypted, true);
      else assert.match((await refusedAtOnce(options)).message, UNKNOWN);
    }
  });

  test("verify-full still verifies the host", ONCE, async () => {
    const options = { connectionString: `${compatible}&sslmode=verify-full`, ssl: { ca: authority.cert } };
    assert.match((await refusedAtOnce(options)).message, OTHER_HOST);
  });

  test(
    "verify-ca that names no authority is refused: any server with a public certificate would pass",
    ONCE,
    async (t) => {
      const child = loginProcess(t, server);
      const publicly = { SSL_CERT_FILE: file("public.crt", authority.cert) };
      for (const options of [
        { connectionString: `${url}?sslmode=verify-ca` },
        { connectionString: url, ssl: { mode: "verify-ca" } as const },
      ]) {
        const opened = proxy.opened;
        const { code, message } = await child.refused(publicly, options);
        assert.deepEqual([code, proxy.opened - opened], ["ERR_PERSIST_INVALID_ARGUMENT", 0]);
        assert.match(message, /verify-ca.*options\.ssl\.ca or sslrootcert.*verify-full/);
      }
      const trusted = { connectionString: url, ssl: { mode: "verify-ca", ca: authority.cert } } as const;
      assert.equal((await child.logIn({}, trusted)).encrypted, true);
    },
  );

  test("ssl.servername names the host that the certificate is for", ONCE, async () => {
    const ssl = { mode: "verify-full", ca: authority.cert, servername: "elsewhere.example" } as const;
    assert.equal((await logIn(server, { connectionString: url, ssl })).encrypted, true);
  });
});

describe("client certificates", () => {
  before(async () => {
    await serve(right);
    await query(server.url, "CREATE ROLE certified LOGIN");
    await query(
      server.url,
      "GRANT ALL ON SCHEMA public TO certified; GRANT ALL ON ALL TABLES IN SCHEMA public TO certified",
    );
  });
  const url = Object.assign(new URL(proxy.urlOf(server.url)), { username: "certified", password: "" }).href;
  const ca = authority.cert;

  for (const algorithm of ["ec", "rsa"] as const) {
    for (const keyFormat of ["pkcs8", "traditional"] as const) {
      test(
        `one with an ${algorithm} key in ${keyFormat} form logs in, from options and from files`,
        ONCE,
        async (t) => {
          const { cert, key } = authority.issue({ client: "certified", algorithm, keyFormat });
          const expected = { encrypted: true, user: "certified", certificate: "/CN=certified" };
          const { encrypted, user, certificate } = await logIn(server, {
            connectionString: url,
            ssl: { ca, cert, key },
          });
          assert.deepEqual({ encrypted, user, certificate }, expected);
          const [sslcert, sslkey] = [file("client.crt", cert), file("client.key", key)];
          const parameters = new URLSearchParams({ sslmode: "no-verify", sslcert, sslkey });
          const fromFiles = await logIn(server, { connectionString: `${url}?${parameters}` });
          assert.equal(fromFiles.certificate, "/CN=certified");
          if (algorithm === "rsa") return;
          const environment = { PGSSLMODE: "no-verify", PGSSLCERT: sslcert, PGSSLKEY: sslkey };
          const child = loginProcess(t, server);
          assert.equal((await child.logIn(environment, { connectionString: url })).certificate, "/CN=certified");
        },
      );
    }
  }

  test(
    "a key file that others may read is refused, as libpq does",
    { ...ONCE, skip: process.platform === "win32" },
    async () => {
      const { cert, key } = authority.issue({ client: "certified" });
      const [sslcert, sslkey] = [file("modes.crt", cert), file("modes.key", key)];
      const connectionString = `${url}?${new URLSearchParams({ sslmode: "no-verify", sslcert, sslkey })}`;
      const root = process.getuid?.() === 0;
      // What root owns may be read by a group: that is how a system shares one.
      const owners = root ? [{ uid: 0, most: 0o640 }, { uid: 65_534, most: 0o600 }] : [{ uid: -1, most: 0o600 }]; // prettier-ignore
      for (const { uid, most } of owners) {
        if (root) chownSync(sslkey, uid, -1);
        for (const mode of [0o400, 0o600, 0o640, 0o660, 0o604, 0o644, 0o650, 0o777]) {
          chmodSync(sslkey, mode);
          if ((mode & ~most) === 0) {
            assert.equal((await logIn(server, { connectionString })).certificate, "/CN=certified", mode.toString(8));
            continue;
          }
          const error = await refused(server, { connectionString });
          assert.equal(error.code, "ERR_PERSIST_INVALID_ARGUMENT", mode.toString(8));
          assert.match(error.message, /modes\.key.*chmod 0600/);
        }
      }
      const folderAsKey = connectionString.replace("modes.key", "");
      assert.match((await refused(server, { connectionString: folderAsKey })).message, /not a plain file/);
    },
  );

  const wrong: [string, Certificate | undefined, RegExp][] = [
    ["for another user", authority.issue({ client: "another" }), /does not let this user in/],
    ["that has expired", authority.issue({ client: "certified", expired: true }), /does not accept the client cert/],
    ["of another authority", stranger.issue({ client: "certified" }), /does not accept the client certificate/],
    ["that is not shown", undefined, /certificate/],
  ];
  for (const [what, certificate, message] of wrong) {
    test(`one ${what} is refused at once`, ONCE, async () => {
      const error = await refusedAtOnce({ connectionString: url, ssl: { ca, ...certificate } });
      assert.match(error.message, message);
    });
  }
});
