//! The options of `PostgresSessionPersistDriver`.

use std::time::Duration;

use napi::bindgen_prelude::Unknown;
use napi_derive::napi;

use super::Options;
use crate::bindings::arguments::{object, wrong};
use crate::bindings::error::Failure;
use crate::store::error::StoreError;
use crate::store::postgres::{
    Access, ConnectionOptions, Environment, PostgresOptions, SslMode, SslOptions, Tables, Target,
};

/// The options of `PostgresSessionPersistDriver`. All may be left out.
#[napi(
    object,
    js_name = "PostgresSessionPersistDriverOptions",
    object_from_js = false,
    object_to_js = false
)]
#[allow(dead_code)] // it exists for its TypeScript declaration; `parse` reads the object itself, to name what is wrong
pub struct PostgresSessionPersistDriverOptions {
    /// Where the database is and how to log in: `postgres://user:password@host:port/database?sslmode=verify-full`, or
    /// libpq's `host=... dbname=...`. Several hosts may be named. What it leaves out is taken from `PGHOST`, `PGUSER` and
    /// the other variables of libpq, and the password from `PGPASSFILE` or `~/.pgpass`.
    ///
    /// @default all from the environment
    pub connection_string: Option<String>,
    /// The schema that the tables are in. It is created only when there is none of that name.
    ///
    /// @default "public"
    pub schema: Option<String>,
    /// What the names of the tables, `sessions`, `events` and `persist_version`, begin with: at most 40 letters, digits
    /// and underscores, not beginning with a digit, `sqlite_` or `pg_`.
    ///
    /// @default ""
    pub table_prefix: Option<String>,
    /// How many connections the driver opens at most, as they are needed. Half of them, and no more than four, write; the
    /// others read. An integer from 2 to 10000.
    ///
    /// @default 10
    pub max_connections: Option<u32>,
    /// How long, in milliseconds, connecting and logging in may take, for each host. `connect_timeout` in the connection
    /// string, in seconds, is used when this is left out. An integer from 1 to 2147483647.
    ///
    /// @default 10000
    pub connect_timeout_ms: Option<u32>,
    /// How long, in milliseconds, a call waits for a connection while others use all of them, before it rejects with
    /// `ERR_PERSIST_TIMEOUT`. An integer from 1 to 2147483647.
    ///
    /// @default 10000
    pub acquire_timeout_ms: Option<u32>,
    /// How long, in milliseconds, a read or a batch of writes is worked on, with all its tries, before it rejects with
    /// `ERR_PERSIST_TIMEOUT` when the server did not answer, or `ERR_PERSIST_UNAVAILABLE` when it could not be reached. Each
    /// try gets half of the time that is left. An integer from 1 to 2147483647.
    ///
    /// @default 30000
    pub query_timeout_ms: Option<u32>,
    /// How long, in milliseconds, a connection that nobody uses is kept. 0 means always. An integer from 0 to 2147483647.
    ///
    /// @default 60000
    pub idle_timeout_ms: Option<u32>,
    /// How long, in milliseconds, a connection is kept at all, less up to a tenth by chance, so that not all end at once. 0
    /// means always. An integer from 0 to 2147483647.
    ///
    /// @default 1800000
    pub max_lifetime_ms: Option<u32>,
    /// The name that the server shows for the connections, in `pg_stat_activity` and its log.
    ///
    /// @default "sandbox-agent-persist"
    pub application_name: Option<String>,
    /// How connections are encrypted and servers recognised. What it leaves out is taken from the connection string and
    /// the environment.
    ///
    /// @default all from the connection string and the environment
    pub ssl: Option<PostgresSslOptions>,
    /// Whether to create the tables, and to bring older ones up to date. With `false` they must be ready: calls reject with
    /// `ERR_PERSIST_SCHEMA` and a list of what is missing when they are not.
    ///
    /// @default true
    pub migrate: Option<bool>,
    /// What happens to an event whose place in its session is taken by another event. `"reassign"`: it is stored at the
    /// index after the session's highest, and its `eventIndex` is set to that before the promise resolves. `"reject"`: the
    /// promise rejects with `ERR_PERSIST_INDEX_CONFLICT` and a message that makes the SDK try its next index.
    ///
    /// @default "reassign"
    #[napi(ts_type = "'reassign' | 'reject'")]
    pub on_event_index_conflict: Option<String>,
}

/// How connections to Postgres are encrypted, and how the server is recognised.
#[napi(object, js_name = "PostgresSslOptions", object_from_js = false, object_to_js = false)]
#[allow(dead_code)] // as above
pub struct PostgresSslOptions {
    /// `"disable"`: no TLS. `"prefer"`: TLS when the server offers it; nothing is verified, so it helps against listeners
    /// only. `"require"` and `"verify-full"`: TLS, and the certificate must be valid, for this host, and signed by an
    /// authority that is trusted. `"verify-ca"`: the same, for whatever host. `"no-verify"`: TLS, with whoever answers.
    ///
    /// @default "prefer"
    #[napi(ts_type = "'disable' | 'prefer' | 'require' | 'verify-ca' | 'verify-full' | 'no-verify'")]
    pub mode: Option<String>,
    /// The certificates of the authorities that are trusted, or the server's own, as PEM text.
    ///
    /// @default those of the operating system, or Mozilla's when it has none
    pub ca: Option<String>,
    /// The certificate that this client shows, as PEM text. It needs `key`.
    ///
    /// @default none
    pub cert: Option<String>,
    /// The private key of `cert`, as PEM text, not encrypted.
    ///
    /// @default none
    pub key: Option<String>,
    /// The name that the server's certificate must be for, instead of the host's.
    ///
    /// @default the host of the connection string
    pub servername: Option<String>,
}

const NAMES: [&str; 13] = [
    "connectionString",
    "schema",
    "tablePrefix",
    "maxConnections",
    "connectTimeoutMs",
    "acquireTimeoutMs",
    "queryTimeoutMs",
    "idleTimeoutMs",
    "maxLifetimeMs",
    "applicationName",
    "ssl",
    "migrate",
    "onEventIndexConflict",
];

const SSL_NAMES: [&str; 5] = ["mode", "ca", "cert", "key", "servername"];

/// Options of the npm package `pg`, which the drivers that people write by hand take, and what to use here.
const NAMES_OF_PG: [(&str, &str); 21] = [
    (
        "pool",
        "the driver has connections of its own: pass `connectionString`, and `maxConnections` for their number",
    ),
    (
        "client",
        "the driver has connections of its own: pass `connectionString`",
    ),
    (
        "poolConfig",
        "pass `connectionString`, `maxConnections` and the other options of this driver themselves",
    ),
    ("host", "name it in `connectionString`, or set PGHOST"),
    ("port", "name it in `connectionString`, or set PGPORT"),
    ("user", "name it in `connectionString`, or set PGUSER"),
    ("password", "put it into `connectionString`, PGPASSWORD or ~/.pgpass"),
    ("database", "name it in `connectionString`, or set PGDATABASE"),
    ("max", "use `maxConnections`"),
    (
        "min",
        "connections are opened as they are needed; use `idleTimeoutMs` to keep them longer",
    ),
    ("idleTimeoutMillis", "use `idleTimeoutMs`"),
    (
        "connectionTimeoutMillis",
        "use `connectTimeoutMs` and `acquireTimeoutMs`",
    ),
    ("maxLifetimeSeconds", "use `maxLifetimeMs`"),
    ("statement_timeout", "use `queryTimeoutMs`"),
    ("query_timeout", "use `queryTimeoutMs`"),
    ("lock_timeout", "use `queryTimeoutMs`"),
    (
        "idle_in_transaction_session_timeout",
        "no transaction of this driver stays idle; set it on the server if you like",
    ),
    ("application_name", "use `applicationName`"),
    (
        "keepAlive",
        "it is always on; `keepalives` in `connectionString` changes it",
    ),
    ("allowExitOnIdle", "an idle driver never keeps the process alive"),
    ("options", "put it into `connectionString`, as `options=...`"),
];

/// The same for its option `ssl`, which is Node's for TLS.
const SSL_NAMES_OF_PG: [(&str, &str); 2] = [
    (
        "rejectUnauthorized",
        "use `mode`: \"verify-full\" for true, \"no-verify\" for false",
    ),
    (
        "checkServerIdentity",
        "use `mode: \"verify-ca\"` for any host, or `servername` for another one",
    ),
];

/// Reads the constructor's argument.
pub(in crate::bindings) fn parse(options: Option<Unknown<'_>>) -> Result<PostgresOptions, Failure> {
    let options = Options::of("options", options, |given| {
        unknown("options", given, &NAMES, &NAMES_OF_PG)
    })?;
    let ssl = options.given("ssl")?;
    if let Some(value) = ssl.filter(|value| object("options.ssl", *value).is_err()) {
        // `pg` takes true and false.
        let wanted = "an object with `mode`, such as `{ mode: \"verify-full\" }`";
        return Err(wrong("options.ssl", wanted, &value));
    }
    let ssl = Options::of("options.ssl", ssl, |given| {
        unknown("options.ssl", given, &SSL_NAMES, &SSL_NAMES_OF_PG)
    })?;
    let connection = ConnectionOptions {
        connection_string: options.string("connectionString")?,
        application_name: options.string("applicationName")?,
        ssl: SslOptions {
            mode: ssl.choice("mode", &SslMode::NAMES)?,
            ca: ssl.string("ca")?,
            cert: ssl.string("cert")?,
            key: ssl.string("key")?,
            servername: ssl.string("servername")?,
        },
        connect_timeout: options.milliseconds("connectTimeoutMs", 1)?,
    };
    let milliseconds = |name: &str, at_least: u32, default: u64| {
        let given = options.milliseconds(name, at_least)?;
        Ok::<_, Failure>(given.unwrap_or(Duration::from_millis(default)))
    };
    let unless_zero = |limit: Duration| Some(limit).filter(|limit| !limit.is_zero());
    Ok(PostgresOptions {
        tables: Tables::new(
            options.string("schema")?.as_deref().unwrap_or("public"),
            options.table_prefix()?,
        )?,
        access: match options.boolean("migrate")? {
            Some(false) => Access::Write,
            Some(true) | None => Access::Migrate,
        },
        index_conflict: options.index_conflict()?,
        max_connections: options
            .whole("maxConnections", "a whole number", 2, 10_000)?
            .unwrap_or(10),
        acquire_timeout: milliseconds("acquireTimeoutMs", 1, 10_000)?,
        query_timeout: milliseconds("queryTimeoutMs", 1, 30_000)?,
        idle_timeout: unless_zero(milliseconds("idleTimeoutMs", 0, 60_000)?),
        max_lifetime: unless_zero(milliseconds("maxLifetimeMs", 0, 30 * 60_000)?),
        // Last, since it may read files.
        target: Target::parse(connection, &Environment::of_process())?,
    })
}

fn unknown(path: &str, given: &str, known: &[&str], of_pg: &[(&str, &str)]) -> Option<StoreError> {
    match of_pg.iter().find(|(name, _)| *name == given) {
        Some((_, instead)) => Some(StoreError::invalid(format!(
            "{path}.{given} is an option of `pg`, not of this driver: {instead}"
        ))),
        None => super::unknown(path, given, known),
    }
}
