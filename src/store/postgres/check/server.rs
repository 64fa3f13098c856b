//! Looks at the server: settings that break the promise, standbys, this user, and what stands between us and the server.

use tokio_postgres::Client;

use crate::store::check::{Code, Finding};
use crate::store::postgres::database::{Database, Purpose};
use crate::store::postgres::error::Failure;

/// How often two connections are asked whether they lead to one process of the server.
const TRIES: u32 = 5;

/// What there is to tell of the server.
pub(super) async fn findings(database: &Database) -> Result<Vec<Finding>, Failure> {
    let deadline = database.deadline();
    let work = async |client: &_| settings(client).await;
    let mut findings = database
        .run(Purpose::Read, deadline, async |connection| work(connection).await)
        .await?;
    if goes_through_pooler(database).await? {
        findings.push(Finding::new(
            Code::Pooler,
            "a pooler gives each transaction another connection to the server",
            "nothing: that is supported; a rebuild and a vacuum are better called on a connection of their own",
        ));
    }
    Ok(findings)
}

async fn settings(client: &Client) -> Result<Vec<Finding>, Failure> {
    let sql = "
        SELECT pg_catalog.current_setting('fsync') = 'off', pg_catalog.current_setting('full_page_writes') = 'off',
               pg_catalog.current_setting('synchronous_commit'),
               pg_catalog.current_setting('synchronous_standby_names') <> '',
               pg_catalog.pg_is_in_recovery(), pg_catalog.current_setting('server_encoding'),
               (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user),
               coalesce((SELECT datcollversion <> pg_catalog.pg_database_collation_actual_version(oid)
                         FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()), false),
               (SELECT pg_catalog.count(*) FROM pg_catalog.pg_stat_replication WHERE sync_state IN ('sync', 'quorum')),
               (SELECT pg_catalog.count(*) FROM pg_catalog.pg_stat_replication WHERE sync_state IN ('async', 'potential')),
               (SELECT pg_catalog.count(*) FROM pg_catalog.pg_stat_replication WHERE sync_state IS NULL)";
    let row = client.query_typed(sql, &[]).await?;
    let Some(row) = row.first() else {
        return Ok(Vec::new());
    };
    let mut findings = Vec::new();
    let mut add = |is_so: bool, code, message: &str, remedy: &str| {
        if is_so {
            findings.push(Finding::new(code, message, remedy));
        }
    };
    let commit: &str = row.try_get(2)?;
    let (waits_for_standby, encoding): (bool, &str) = (row.try_get(3)?, row.try_get(5)?);
    let (synchronous, asynchronous, unknown): (i64, i64, i64) = (row.try_get(8)?, row.try_get(9)?, row.try_get(10)?);
    add(
        row.try_get(0)?,
        Code::FsyncOff,
        "fsync is off: a crash of the machine may lose what was acknowledged, and damage the whole server's data",
        "set fsync = on",
    );
    add(
        row.try_get(1)?,
        Code::FullPageWritesOff,
        "full_page_writes is off: a crash of the machine in mid-write may damage tables",
        "set full_page_writes = on",
    );
    add(
        commit == "off",
        Code::SynchronousCommitOff,
        "synchronous_commit is off for this user: a crash of the server loses what was acknowledged in the last moments",
        "set synchronous_commit = on, for the server, the database and the role (ALTER ROLE ... RESET synchronous_commit)",
    );
    add(
        waits_for_standby && commit != "off" && commit != "local" && synchronous + unknown == 0,
        Code::StandbyMissing,
        "synchronous_standby_names names standbys, and none of them is connected: commits wait until one is",
        "start the standby, or take its name out",
    );
    add(
        asynchronous > 0 && synchronous + unknown == 0 && !waits_for_standby,
        Code::StandbyAsynchronous,
        "the standbys follow asynchronously: a failover may lose what was acknowledged in the last moments",
        "name them in synchronous_standby_names, if that must not be",
    );
    add(
        row.try_get(4)?,
        Code::ReadOnlyServer,
        "the server is a standby: it can only be read",
        "name all servers of the cluster, and target_session_attrs=read-write, to find the one that takes writes",
    );
    add(
        encoding != "UTF8",
        Code::Encoding,
        &format!("the database has the encoding {encoding}: events with other characters are refused"),
        "use a database with the encoding UTF8",
    );
    add(
        row.try_get(7)?,
        Code::CollationChanged,
        "the system sorts texts in another way than when the database was made: indexes on texts may be wrong",
        "REINDEX them, and then ALTER DATABASE ... REFRESH COLLATION VERSION; the indexes that this driver makes compare bytes",
    );
    add(
        row.try_get::<_, Option<bool>>(6)?.unwrap_or(false),
        Code::Superuser,
        "this user is a superuser: whoever gets its password has the whole server",
        "use a role that may SELECT, INSERT, UPDATE and DELETE on these tables",
    );
    Ok(findings)
}

/// Whether two connections that are open at once lead to one process of the server.
async fn goes_through_pooler(database: &Database) -> Result<bool, Failure> {
    let deadline = database.deadline();
    database
        .run(Purpose::Read, deadline, async |one| {
            database
                .run(Purpose::Write, deadline, async |other| {
                    for _ in 0..TRIES {
                        if process(one).await? == process(other).await? {
                            return Ok(true);
                        }
                    }
                    Ok(false)
                })
                .await
        })
        .await
}

async fn process(client: &Client) -> Result<i32, Failure> {
    let rows = client.query_typed("SELECT pg_catalog.pg_backend_pid()", &[]).await?;
    Ok(rows.first().map_or(Ok(0), |row| row.try_get(0))?)
}
