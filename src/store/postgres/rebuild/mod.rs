//! The steps of a rebuild of the table of events ([`crate::store::rebuild`]). `upkeep` calls it; each step is a transaction of its own.
//!
//! `structure` makes the fresh table, with what the old one's owner has given it, and what puts changes down; `obstacles` finds what
//! of the owner's forbids a rebuild, and `leftovers` removes what is not needed any more.
//!
//! A change and what puts it down are one transaction. So whoever takes what was put down, and then reads the places, finds the
//! changes there, or later ones, which are put down too.

mod leftovers;
mod obstacles;
mod structure;

use std::time::Duration;

use tokio_postgres::Client;
use tokio_postgres::types::Type;

pub(super) use leftovers::{is_interrupted, remove_dead};

use super::connection::Connection;
use super::database::{Database, Purpose};
use super::error::{Failure, Remedy};
use super::single::Undone;
use super::statement::{Parameter, begin, limit_locks};
use super::tables::{self, Tables};
use crate::store::check::Place;
use crate::store::error::{ErrorKind, StoreError};
use crate::store::rebuild::{Outcome, RebuildRequest, RebuildStep, Rebuilt};
use crate::store::tables::columns::{Column, Data, EVENTS, Presence, join, names};
use crate::store::tables::layout::Layout;

/// How many events are copied at once: few enough to take some ten milliseconds.
const EVENTS_AT_ONCE: i64 = 2_000;

/// How many places that were changed are copied again at once: more than anybody can change meanwhile.
const CHANGES_AT_ONCE: i64 = 5_000;

/// So few that the switch may copy them, while all others wait.
const FEW_CHANGES: i64 = 1_000;

/// How long a step waits for those that use the table. Those that come after it wait as long.
const LOCK_LIMIT: Duration = Duration::from_millis(150);

/// How long the server waits for the next statement of a step.
const SILENCE: Duration = Duration::from_secs(10);

fn refused(kind: ErrorKind, what: &str) -> Undone {
    Undone::Refused(StoreError::new(
        kind,
        format!("rebuilding the table of events failed: {what}"),
    ))
}

/// The same failure, with advice for who rebuilds.
pub(super) fn advised(failure: Failure) -> Failure {
    match failure.sql_state() {
        Some("42501") => failure.with_advice(
            "only the owner of the table may rebuild it, with the right to create tables in its schema; nothing was changed",
        ),
        Some("22P02" | "22P05" | "22021" | "23502") => failure.with_advice(
            "an event cannot be copied as it is (see `cause`); nothing was changed, a check tells which, mend or delete it and call again",
        ),
        Some("42P07" | "42723" | "42710") => {
            let mut failure = failure.with_advice(
                "something else in the schema has a name that it needs (see `cause`); nothing was changed, rename that and call again",
            );
            failure.kind = ErrorKind::Schema;
            failure
        }
        Some("55P03" | "40P01") => failure.with_advice(
            "other transactions held the table all the time; nothing was changed, end them and call again",
        ),
        _ => failure,
    }
}

/// Does a step.
pub(super) async fn step(database: &Database, request: &RebuildRequest) -> Result<Rebuilt, Undone> {
    let tables = &database.options.tables;
    let RebuildRequest { id, step } = request;
    let done = database.run(Purpose::Read, database.deadline(), async |connection| {
        let transaction = async {
            connection.batch_execute(&begin(SILENCE)).await?;
            connection.batch_execute(tables::NO_TIMEOUTS).await?;
            limit_locks(connection, LOCK_LIMIT).await?;
            let done = match step {
                RebuildStep::TakeOver => leftovers::clear(connection, tables, None).await?,
                RebuildStep::Clear => leftovers::clear(connection, tables, Some(id)).await?,
                RebuildStep::Begin => begin_rebuild(connection, tables, id).await?,
                RebuildStep::Copy(after) => {
                    check_under_way(connection, tables, id).await?;
                    copy(connection, tables, after.as_ref()).await?
                }
                RebuildStep::CatchUp => {
                    check_under_way(connection, tables, id).await?;
                    match catch_up(connection, tables).await? {
                        ..FEW_CHANGES => done(),
                        _ => more(false),
                    }
                }
                RebuildStep::Switch => switch(connection, tables, id).await?,
            };
            connection.batch_execute("COMMIT").await?;
            Ok(done)
        };
        let done: Result<Rebuilt, Undone> = transaction.await;
        let is_broken = matches!(&done, Err(Undone::Failed(failure)) if failure.remedy == Remedy::Reconnect);
        if done.is_err() && !is_broken {
            connection.batch_execute("ROLLBACK").await?;
        }
        match done {
            Ok(done) => Ok(Ok(done)),
            Err(Undone::Failed(failure))
                if matches!(step, RebuildStep::Begin | RebuildStep::Switch)
                    && matches!(failure.sql_state(), Some("55P03" | "40P01")) =>
            {
                Ok(Ok(Rebuilt {
                    outcome: Outcome::Held,
                    is_contended: true,
                }))
            }
            Err(Undone::Failed(failure)) => Err(failure),
            Err(refusal) => Ok(Err(refusal)),
        }
    });
    done.await?
}

fn done() -> Rebuilt {
    Rebuilt {
        outcome: Outcome::Done,
        is_contended: false,
    }
}

fn more(is_contended: bool) -> Rebuilt {
    Rebuilt {
        outcome: Outcome::More,
        is_contended,
    }
}

/// Fails when another rebuild has taken the place of this one, or somebody took it for dead; says that it lives.
async fn check_under_way(client: &Client, tables: &Tables, id: &str) -> Result<(), Undone> {
    let state = &tables.rebuild.state;
    if leftovers::is_there(client, tables).await? {
        let sql = format!("UPDATE {state} SET beat_at = pg_catalog.clock_timestamp() WHERE id = $1");
        if client.execute_typed(&sql, &[(&id, Type::TEXT)]).await? == 1 {
            return Ok(());
        }
    }
    Err(refused(
        ErrorKind::Busy,
        "another rebuild has begun meanwhile, or this one was silent for so long that it was taken for dead; nothing was changed",
    ))
}

async fn begin_rebuild(client: &Client, tables: &Tables, id: &str) -> Result<Rebuilt, Undone> {
    client.batch_execute(tables::LOCK).await?;
    if leftovers::is_there(client, tables).await? {
        // An earlier try of this step was done, and nobody heard of it; or another rebuild came in between.
        return check_under_way(client, tables, id).await.map(|()| done());
    }
    if tables::layout(client, tables).await? == Layout::Own {
        return Ok(Rebuilt {
            outcome: Outcome::Fresh,
            is_contended: false,
        });
    }
    let obstacles = obstacles::of(client, tables).await?;
    if !obstacles.is_empty() {
        return Err(refused(
            ErrorKind::Schema,
            &format!(
                "the table {:?} has what only its owner may take away: {}; nothing was changed, drop it and call again",
                tables.events.plain,
                obstacles.join(", ")
            ),
        ));
    }
    structure::create(client, tables, id).await?;
    Ok(done())
}

/// The columns of an event in the old table as the fresh one takes them: a NULL that another program left reads as a text, or a
/// time, all the same (`read`).
fn columns_of_old() -> String {
    join(&EVENTS, |Column { name, data, presence }| match (data, presence) {
        (Data::Index, _) => format!("{name}::bigint"),
        (Data::Time, _) => format!("coalesce({name}, 0)"),
        (Data::Json, Presence::Optional) => format!("{name}::pg_catalog.json"),
        (Data::Json, _) => format!("coalesce({name}::pg_catalog.json, 'null')"),
        (Data::Id | Data::Text, _) => format!("coalesce({name}::pg_catalog.text, '')"),
    })
}

async fn copy(client: &Client, tables: &Tables, after: Option<&Place>) -> Result<Rebuilt, Undone> {
    let (events, copy) = (&tables.events, &tables.rebuild.copy);
    let condition = after.map_or("", |_| "WHERE (session_id, event_index) > ($1, $2)");
    // A limit that Postgres cannot know makes it follow the index. What is copied already was copied by an earlier try, and if it
    // was changed since, that is put down.
    let sql = format!(
        "WITH piece AS MATERIALIZED (SELECT * FROM {events} {condition} ORDER BY session_id, event_index LIMIT (SELECT {EVENTS_AT_ONCE})), \
         copied AS (INSERT INTO {copy} ({}) SELECT {} FROM piece ON CONFLICT (session_id, event_index) DO NOTHING) \
         SELECT session_id, event_index::bigint, pg_catalog.count(*) OVER (), \
           pg_catalog.sum(coalesce(pg_catalog.octet_length(payload_json::pg_catalog.text), 0) \
                          + coalesce(pg_catalog.octet_length(extra_json::pg_catalog.text), 0)) OVER ()::bigint \
         FROM piece ORDER BY session_id DESC, event_index DESC LIMIT 1",
        names(&EVENTS),
        columns_of_old()
    );
    let parameters: Vec<Parameter<'_>> = match after {
        Some(place) => vec![(&place.session_id, Type::TEXT), (&place.event_index, Type::INT8)],
        None => Vec::new(),
    };
    let rows = client.query_typed(&sql, &parameters).await?;
    let is_contended = has_changes(client, tables).await?;
    let (mut events, mut bytes, mut last) = (0_i64, 0_i64, None);
    if let Some(row) = rows.first() {
        (events, bytes) = (row.try_get(2)?, row.try_get(3)?);
        last = Some(Place {
            session_id: row.try_get(0)?,
            event_index: row.try_get(1)?,
        });
    }
    if events < EVENTS_AT_ONCE {
        last = None;
        // Whoever reads the fresh table is to find it known to the planner.
        client.batch_execute(&format!("ANALYZE {copy}")).await?;
    }
    Ok(Rebuilt {
        outcome: Outcome::Copied {
            events: events.unsigned_abs(),
            bytes: bytes.unsigned_abs(),
            last,
        },
        is_contended,
    })
}

async fn has_changes(client: &Client, tables: &Tables) -> Result<bool, Undone> {
    let sql = format!("SELECT 1 FROM {} LIMIT 1", tables.rebuild.changes);
    Ok(!client.query_typed(&sql, &[]).await?.is_empty())
}

/// Copies places again that were changed, and says how many changes those were.
async fn catch_up(client: &Client, tables: &Tables) -> Result<i64, Undone> {
    let (events, copy, changes) = (&tables.events, &tables.rebuild.copy, &tables.rebuild.changes);
    let take = format!(
        "WITH taken AS (DELETE FROM {changes} WHERE number IN (SELECT number FROM {changes} ORDER BY number LIMIT {CHANGES_AT_ONCE}) \
         RETURNING session_id, event_index) SELECT session_id, event_index, pg_catalog.sum(pg_catalog.count(*)) OVER ()::bigint \
         FROM taken GROUP BY session_id, event_index"
    );
    // Nothing is known to the planner of a table that is new.
    client
        .batch_execute(
            "SET LOCAL enable_seqscan = off; SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off",
        )
        .await?;
    let rows = client.query_typed(&take, &[]).await?;
    let (mut sessions, mut indexes, mut taken) = (Vec::new(), Vec::new(), 0_i64);
    for row in &rows {
        let (session, index): (Option<&str>, Option<i64>) = (row.try_get(0)?, row.try_get(1)?);
        let (Some(session), Some(index)) = (session, index) else {
            return Err(refused(
                ErrorKind::Busy,
                "another program has emptied the table meanwhile (TRUNCATE), or written an event without a session or an index; nothing \
                 was changed",
            ));
        };
        sessions.push(session);
        indexes.push(index);
        taken = row.try_get(2)?;
    }
    if sessions.is_empty() {
        return Ok(0);
    }
    let places: [Parameter<'_>; 2] = [(&sessions, Type::TEXT_ARRAY), (&indexes, Type::INT8_ARRAY)];
    let remove = format!(
        "DELETE FROM {copy} AS stored USING unnest($1, $2) AS given (session_id, event_index) \
         WHERE stored.session_id = given.session_id AND stored.event_index = given.event_index"
    );
    client.execute_typed(&remove, &places).await?;
    let insert = format!(
        "INSERT INTO {copy} ({}) SELECT {} FROM unnest($1, $2) AS given (session, index) CROSS JOIN LATERAL \
         (SELECT * FROM {events} WHERE session_id = given.session AND event_index = given.index OFFSET 0) AS stored",
        names(&EVENTS),
        columns_of_old()
    );
    client.execute_typed(&insert, &places).await?;
    Ok(taken)
}

/// Puts the fresh table in the place of the old one, unless too much was changed meanwhile.
async fn switch(connection: &Connection, tables: &Tables, id: &str) -> Result<Rebuilt, Undone> {
    connection.batch_execute(tables::LOCK).await?;
    if !leftovers::is_there(connection, tables).await? && tables::layout(connection, tables).await? == Layout::Own {
        // An earlier try was done, and nobody heard of it.
        return Ok(done());
    }
    check_under_way(connection, tables, id).await?;
    connection
        .batch_execute(&format!("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE", tables.events))
        .await?;
    // What is there now is all that there will be.
    if catch_up(connection, tables).await? >= CHANGES_AT_ONCE {
        return Ok(more(true));
    }
    structure::switch(connection, tables).await?;
    Ok(done())
}
