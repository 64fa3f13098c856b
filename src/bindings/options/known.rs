//! The options that each class takes, and what other libraries call them.

use super::unknown::Names;

/// Those of `SQLiteSessionPersistDriver`.
pub(super) const SQLITE: Names = Names {
    class: "SQLiteSessionPersistDriver",
    options: &[
        "filename",
        "durability",
        "busyTimeoutMs",
        "readonly",
        "migrate",
        "tablePrefix",
        "checkpoints",
        "onEventIndexConflict",
        "maxEventsPerSession",
        "maxSessions",
        "slowMs",
        "drainTimeoutMs",
    ],
    aliases: &[
        ("database", "filename"),
        ("databasepath", "filename"),
        ("db", "filename"),
        ("dbfile", "filename"),
        ("dbname", "filename"),
        ("dbpath", "filename"),
        ("file", "filename"),
        ("filepath", "filename"),
        ("location", "filename"),
        ("path", "filename"),
        ("autocheckpoint", "checkpoints"),
        ("checkpointing", "checkpoints"),
        ("walautocheckpoint", "checkpoints"),
        ("durable", "durability"),
        ("fsync", "durability"),
        ("sync", "durability"),
        ("synchronous", "durability"),
        ("migration", "migrate"),
        ("migrations", "migrate"),
        ("onconflict", "onEventIndexConflict"),
    ],
};

/// Those of `PostgresSessionPersistDriver`.
pub(super) const POSTGRES: Names = Names {
    class: "PostgresSessionPersistDriver",
    options: &[
        "connectionString",
        "password",
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
        "maxEventsPerSession",
        "maxSessions",
        "slowMs",
        "drainTimeoutMs",
    ],
    aliases: &[
        ("connection", "connectionString"),
        ("connectionuri", "connectionString"),
        ("connectionurl", "connectionString"),
        ("conninfo", "connectionString"),
        ("databaseurl", "connectionString"),
        ("dburl", "connectionString"),
        ("dsn", "connectionString"),
        ("uri", "connectionString"),
        ("url", "connectionString"),
        ("searchpath", "schema"),
        ("connectionlimit", "maxConnections"),
        ("connections", "maxConnections"),
        ("maxpoolsize", "maxConnections"),
        ("poolsize", "maxConnections"),
        ("connectiontimeout", "connectTimeoutMs"),
        ("pooltimeout", "acquireTimeoutMs"),
        ("statementtimeout", "queryTimeoutMs"),
        ("appname", "applicationName"),
        ("tls", "ssl"),
        ("migration", "migrate"),
        ("migrations", "migrate"),
        ("onconflict", "onEventIndexConflict"),
    ],
};

/// Those of the option `ssl` of `PostgresSessionPersistDriver`.
pub(super) const POSTGRES_SSL: Names = Names {
    class: "options.ssl",
    options: &["mode", "ca", "cert", "key", "servername"],
    aliases: &[
        ("certificate", "cert"),
        ("host", "servername"),
        ("hostname", "servername"),
        ("rootcert", "ca"),
        ("sslcert", "cert"),
        ("sslkey", "key"),
        ("sslmode", "mode"),
        ("sslrootcert", "ca"),
    ],
};

/// Options of the npm package `pg`, which the drivers that people write by hand take, and what to use here.
pub(super) const OF_PG: [(&str, &str); 20] = [
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
pub(super) const SSL_OF_PG: [(&str, &str); 2] = [
    (
        "rejectUnauthorized",
        "use `mode`: \"verify-full\" for true, \"no-verify\" for false",
    ),
    (
        "checkServerIdentity",
        "use `servername` for another host, or `mode: \"verify-ca\"` with `ca` for any host",
    ),
];
