//! Copying a session under a new id. `super` calls it.
//!
//! The source is only kept from being deleted meanwhile. Others go on to write to it and to copy it, however long this takes.
//!
//! When the answer to an earlier try's `COMMIT` was lost, the new id may be taken by that very try, or by somebody else's fork of
//! the same session. The server knows which: it is asked how the earlier transaction ended.

use std::ops::RangeInclusive;

use futures_util::join;
use tokio_postgres::Client;
use tokio_postgres::types::Type;

use super::{CURRENT_TRANSACTION, Done, Undone, was_committed};
use crate::store::Answer;
use crate::store::deleted::oldest;
use crate::store::fork::{ForkRequest, LINEAGE, Taken};
use crate::store::postgres::deadline::Deadline;
use crate::store::postgres::error::{Failure, Remedy, Table};
use crate::store::postgres::read;
use crate::store::postgres::statement::Parameter;
use crate::store::postgres::tables::Tables;
use crate::store::tables::columns::{EVENTS, SESSIONS, join as columns, names};

/// How many events one statement copies at most: so few that it never takes long, and so many that a far server is not asked too
/// often.
const INDEXES_AT_ONCE: i64 = 2_000;

/// `before` is what an earlier try has done of which nobody knows how it ended.
pub(super) async fn fork(
    client: &Client,
    tables: &Tables,
    request: &ForkRequest,
    deadline: &Deadline,
    before: Option<&Done>,
) -> Result<Done, Undone> {
    let (source, taken) = join!(keep_source(client, tables, request), look(client, tables, request));
    let (has_source, taken) = (source?, taken?);
    if let (Some(before), Some(_)) = (before, taken)
        && was_committed(client, before).await?
    {
        return Ok(before.clone());
    }
    if let Some(taken) = taken {
        return Err(request.taken(taken).into());
    }
    if !has_source {
        return Err(request.not_found().into());
    }
    // In the order in which they are sent: after the first that fails, the server refuses the others for that alone.
    let (recorded, labelled) = join!(
        copy_record(client, tables, request),
        copy_labels(client, tables, request),
    );
    recorded?;
    labelled?;
    let last = copy_events(client, tables, request, deadline).await?;
    let (added, record, transaction) = join!(
        add_lineage(client, tables, request, last),
        read::session(client, tables, request.fork_id()),
        client.query_typed(CURRENT_TRANSACTION, &[]),
    );
    added?;
    let transaction = transaction?.first().map(|row| row.try_get(0)).transpose()?;
    Ok(Done {
        answer: record?.map_or(Answer::Absent, Answer::Json),
        transaction,
    })
}

/// Says whether there is a source, and keeps it there until the end of the transaction: whoever deletes a session locks its
/// record first.
async fn keep_source(
    client: &Client,
    Tables { sessions, deleted, .. }: &Tables,
    request: &ForkRequest,
) -> Result<bool, Failure> {
    // A record that came after the session was deleted is about to be removed.
    let sql = format!(
        "SELECT 1 FROM {sessions} WHERE id = $1 \
         AND NOT EXISTS (SELECT 1 FROM {deleted} AS tombstone WHERE tombstone.id = $1 AND tombstone.deleted_at > {}) FOR KEY SHARE",
        oldest()
    );
    let rows = client.query_typed(&sql, &[(&request.source_id(), Type::TEXT)]).await?;
    Ok(!rows.is_empty())
}

/// What is stored under the new id.
async fn look(client: &Client, tables: &Tables, request: &ForkRequest) -> Result<Option<Taken>, Failure> {
    let exists = |taken: &Taken| {
        let Tables {
            sessions,
            events,
            labels,
            deleted,
            ..
        } = tables;
        let found = match taken {
            Taken::Record => format!("{sessions} WHERE id = $1"),
            Taken::Events => format!("{events} WHERE session_id = $1"),
            Taken::Labels => format!("{labels} WHERE session_id = $1"),
            Taken::Tombstone => format!("{deleted} WHERE id = $1 AND deleted_at > {}", oldest()),
        };
        format!("EXISTS (SELECT 1 FROM {found})")
    };
    let sql = format!(
        "SELECT {}",
        Taken::ALL.iter().map(exists).collect::<Vec<_>>().join(", ")
    );
    let rows = client.query_typed(&sql, &[(&request.fork_id(), Type::TEXT)]).await?;
    for (column, what) in Taken::ALL.into_iter().enumerate() {
        if rows.first().map_or(Ok(false), |row| row.try_get(column))? {
            return Ok(Some(what));
        }
    }
    Ok(None)
}

async fn copy_record(client: &Client, tables: &Tables, request: &ForkRequest) -> Result<(), Failure> {
    let sql = format!(
        "INSERT INTO {sessions} ({columns}) SELECT {copied} FROM {sessions} WHERE id = $1",
        sessions = tables.sessions,
        columns = names(&SESSIONS),
        copied = columns(&SESSIONS, |column| match column.name {
            "id" => String::from("$2"),
            "destroyed_at" => String::from("NULL"),
            name => name.to_owned(),
        }),
    );
    let copied = client
        .execute_typed(&sql, &ids(&request.source_id(), &request.fork_id()))
        .await;
    let copied = copied.map_err(|error| Failure::of_writing(&error, Table::Sessions))?;
    if copied == 1 {
        Ok(())
    } else {
        Err(Failure::swallowed(Remedy::None))
    }
}

/// Copies the events in their order, and says which index was the last. What others add at the end meanwhile is not copied.
///
/// A statement names the first and the last index that it may copy, not how many rows: a server that knows nothing of the table
/// yet would look at all the rest of the session for each.
async fn copy_events(
    client: &Client,
    tables: &Tables,
    request: &ForkRequest,
    deadline: &Deadline,
) -> Result<Option<i64>, Failure> {
    let events = &tables.events;
    let some = format!("FROM {events} WHERE session_id = $1 AND event_index BETWEEN $2 AND $3");
    let count = format!("SELECT pg_catalog.count(*) {some}");
    let copy = format!(
        "INSERT INTO {events} ({columns}) SELECT {copied} {some} ORDER BY event_index",
        columns = names(&EVENTS),
        copied = columns(&EVENTS, |column| match column.name {
            "id" => String::from("pg_catalog.gen_random_uuid()::pg_catalog.text"),
            "session_id" => String::from("$4"),
            name => name.to_owned(),
        }),
    );
    let (source_id, fork_id) = (request.source_id(), request.fork_id());
    let (first, end) = join!(
        find_index(
            client,
            tables,
            Find::First,
            source_id,
            i64::MIN..=request.through_index()
        ),
        find_index(
            client,
            tables,
            Find::Last,
            source_id,
            i64::MIN..=request.through_index()
        ),
    );
    let (mut next, end) = (first?, end?.unwrap_or(i64::MIN));
    while let Some(from) = next.filter(|from| *from <= end) {
        let to = from.saturating_add(INDEXES_AT_ONCE - 1).min(end);
        let counting: [Parameter<'_>; 3] = [(&source_id, Type::TEXT), (&from, Type::INT8), (&to, Type::INT8)];
        let copying: [Parameter<'_>; 4] = [
            (&source_id, Type::TEXT),
            (&from, Type::INT8),
            (&to, Type::INT8),
            (&fork_id, Type::TEXT),
        ];
        let (count, copied, after) = join!(
            client.query_typed(&count, &counting),
            client.execute_typed(&copy, &copying),
            find_index(client, tables, Find::First, source_id, to.saturating_add(1)..=end),
        );
        let of_writing = |error| Failure::of_writing(&error, Table::Events).of_many_rows();
        let (count, copied) = (count.map_err(of_writing)?, copied.map_err(of_writing)?);
        // Others may have added some since they were counted.
        let count: i64 = count.first().map_or(Ok(0), |row| row.try_get(0))?;
        if i64::try_from(copied).unwrap_or(i64::MAX) < count {
            return Err(Failure::swallowed(Remedy::None));
        }
        next = after?;
        deadline.renew();
    }
    find_index(client, tables, Find::Last, fork_id, i64::MIN..=end).await
}

/// Which of a session's events is looked for.
#[derive(Debug, Clone, Copy)]
enum Find {
    First,
    Last,
}

/// The lowest or the highest index of a session within these, if it has any.
async fn find_index(
    client: &Client,
    Tables { events, .. }: &Tables,
    find: Find,
    session_id: &str,
    within: RangeInclusive<i64>,
) -> Result<Option<i64>, Failure> {
    let function = match find {
        Find::First => "min",
        Find::Last => "max",
    };
    let sql = format!(
        "SELECT pg_catalog.{function}(event_index)::pg_catalog.int8 FROM {events} \
         WHERE session_id = $1 AND event_index BETWEEN $2 AND $3"
    );
    let (from, to) = within.into_inner();
    let parameters: [Parameter<'_>; 3] = [(&session_id, Type::TEXT), (&from, Type::INT8), (&to, Type::INT8)];
    let rows = client.query_typed(&sql, &parameters).await?;
    Ok(rows.first().map_or(Ok(None), |row| row.try_get(0))?)
}

/// Copies the labels, but for those that say where the source itself is from.
async fn copy_labels(client: &Client, Tables { labels, .. }: &Tables, request: &ForkRequest) -> Result<(), Failure> {
    let sql = format!(
        "INSERT INTO {labels} (session_id, name, value) \
         SELECT $2, name, value FROM {labels} WHERE session_id = $1 AND name <> ALL ($3)"
    );
    let (source_id, fork_id) = (request.source_id(), request.fork_id());
    let parameters: [Parameter<'_>; 3] = [
        (&source_id, Type::TEXT),
        (&fork_id, Type::TEXT),
        (&&LINEAGE[..], Type::TEXT_ARRAY),
    ];
    client.execute_typed(&sql, &parameters).await?;
    Ok(())
}

/// Adds the labels that say where the fork is from.
async fn add_lineage(
    client: &Client,
    Tables { labels, .. }: &Tables,
    request: &ForkRequest,
    last: Option<i64>,
) -> Result<(), Failure> {
    let sql = format!(
        "INSERT INTO {labels} (session_id, name, value) SELECT $1, given.name, given.value FROM unnest($2, $3) AS given (name, value)"
    );
    let (names, values): (Vec<&str>, Vec<String>) = request.lineage(last).into_iter().unzip();
    let fork_id = request.fork_id();
    let parameters: [Parameter<'_>; 3] = [
        (&fork_id, Type::TEXT),
        (&names, Type::TEXT_ARRAY),
        (&values, Type::TEXT_ARRAY),
    ];
    client.execute_typed(&sql, &parameters).await?;
    Ok(())
}

fn ids<'a>(source_id: &'a &str, fork_id: &'a &str) -> [Parameter<'a>; 2] {
    [(source_id, Type::TEXT), (fork_id, Type::TEXT)]
}
