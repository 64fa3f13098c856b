//! The statements that only loading needs: their SQL, and what they say. `super` runs them.

use std::collections::{HashMap, HashSet};

use tokio_postgres::Client;
use tokio_postgres::types::Type;

use crate::store::deleted;
use crate::store::labels::LabelChanges;
use crate::store::load::{CheckedPart, TakeBack};
use crate::store::postgres::error::{Failure, Table};
use crate::store::postgres::statement::Parameter;
use crate::store::postgres::tables::Tables;

/// How many events are removed by a step of taking back.
const REMOVED_AT_ONCE: i64 = 1_000;

/// See the module's description.
pub(in crate::store::postgres) struct Statements {
    tombstones: String,
    stored: String,
    labels: String,
    remove_labels: String,
    set_labels: String,
    remove_newest: String,
}

/// What is stored of the sessions of a step.
pub(super) struct Found {
    /// Those that were deleted.
    pub(super) deleted: HashSet<String>,
    /// The ids of their events between the one that each part follows, or its first one, and its last, by session and index.
    pub(super) events: HashMap<String, HashMap<i64, String>>,
    /// The names of the labels of those whose labels are to be changed.
    pub(super) labels: HashMap<String, HashSet<String>>,
}

impl Statements {
    pub(in crate::store::postgres) fn new(tables: &Tables) -> Self {
        let Tables {
            events,
            labels,
            deleted,
            ..
        } = tables;
        Self {
            tombstones: format!("SELECT id FROM {deleted} WHERE id = ANY ($1) AND deleted_at > $2"),
            // A limit that Postgres cannot know makes it follow the index.
            stored: format!(
                "SELECT given.session_id, stored.event_index, stored.id \
                 FROM unnest($1, $2, $3) AS given (session_id, first, last), LATERAL (\
                   SELECT event_index::bigint, id FROM {events} \
                   WHERE session_id = given.session_id AND event_index >= given.first AND event_index <= given.last \
                   ORDER BY event_index LIMIT (SELECT given.last - given.first + 1)) AS stored"
            ),
            labels: format!("SELECT session_id, name FROM {labels} WHERE session_id = ANY ($1)"),
            remove_labels: format!(
                "DELETE FROM {labels} AS stored USING unnest($1, $2) AS given (session_id, name) \
                 WHERE stored.session_id = given.session_id AND stored.name = given.name"
            ),
            set_labels: format!(
                "INSERT INTO {labels} (session_id, name, value) SELECT * FROM unnest($1, $2, $3) \
                 ON CONFLICT (session_id, name) DO UPDATE SET value = excluded.value"
            ),
            remove_newest: format!(
                "DELETE FROM {events} WHERE session_id = $1 AND event_index IN (\
                   SELECT event_index FROM {events} WHERE session_id = $1 AND event_index > $2 \
                   ORDER BY event_index DESC LIMIT (SELECT $3)) \
                 AND NOT EXISTS (SELECT 1 FROM {events} WHERE session_id = $1 AND event_index > $4)"
            ),
        }
    }

    /// Asks what is stored of the sessions of these parts.
    pub(super) async fn find(&self, client: &Client, parts: &[&CheckedPart<'_>]) -> Result<Found, Failure> {
        let session_ids: Vec<&str> = parts.iter().map(|part| part.session_id).collect();
        let (with_events, (first, last)) = ranges(parts);
        let labelled: Vec<&str> = changes(parts).map(|(session_id, _)| session_id).collect();
        let oldest = deleted::oldest();
        let tombstones: [Parameter<'_>; 2] = [(&session_ids, Type::TEXT_ARRAY), (&oldest, Type::INT8)];
        let ranges: [Parameter<'_>; 3] = [
            (&with_events, Type::TEXT_ARRAY),
            (&first, Type::INT8_ARRAY),
            (&last, Type::INT8_ARRAY),
        ];
        let of_labels: [Parameter<'_>; 1] = [(&labelled, Type::TEXT_ARRAY)];
        let read_labels = async || {
            if labelled.is_empty() {
                return Ok(Vec::new());
            }
            client.query_typed(&self.labels, &of_labels).await
        };
        let (tombstones, stored, labels) = futures_util::join!(
            client.query_typed(&self.tombstones, &tombstones),
            client.query_typed(&self.stored, &ranges),
            read_labels(),
        );
        let mut found = Found {
            deleted: HashSet::new(),
            events: HashMap::new(),
            labels: HashMap::new(),
        };
        for row in tombstones? {
            found.deleted.insert(row.try_get(0)?);
        }
        for row in stored.map_err(|error| Failure::of_writing(&error, Table::Events))? {
            let of_session = found.events.entry(row.try_get(0)?).or_default();
            of_session.insert(row.try_get(1)?, row.try_get(2)?);
        }
        for row in labels? {
            let of_session = found.labels.entry(row.try_get(0)?).or_default();
            of_session.insert(row.try_get(1)?);
        }
        Ok(found)
    }

    /// Sets and removes labels.
    pub(super) async fn change_labels(&self, client: &Client, parts: &[&CheckedPart<'_>]) -> Result<(), Failure> {
        let (mut removed, mut set) = ((Vec::new(), Vec::new()), (Vec::new(), Vec::new(), Vec::new()));
        for (session_id, changes) in changes(parts) {
            for name in changes.removed() {
                removed.0.push(session_id);
                removed.1.push(name);
            }
            for (name, value) in changes.set() {
                set.0.push(session_id);
                set.1.push(name);
                set.2.push(value);
            }
        }
        let removing: [Parameter<'_>; 2] = [(&removed.0, Type::TEXT_ARRAY), (&removed.1, Type::TEXT_ARRAY)];
        let setting: [Parameter<'_>; 3] = [
            (&set.0, Type::TEXT_ARRAY),
            (&set.1, Type::TEXT_ARRAY),
            (&set.2, Type::TEXT_ARRAY),
        ];
        let change = async |sql: &str, parameters: &[Parameter<'_>], rows: usize| {
            if rows == 0 {
                return Ok(0);
            }
            client.execute_typed(sql, parameters).await
        };
        // Both are sent before the first is answered.
        let (removed, set) = futures_util::join!(
            change(&self.remove_labels, &removing, removed.0.len()),
            change(&self.set_labels, &setting, set.0.len()),
        );
        removed?;
        set?;
        Ok(())
    }

    /// Removes some of the newest events of a session. Says how many, and whether there may be others.
    pub(super) async fn remove_newest(&self, client: &Client, request: &TakeBack) -> Result<(u64, bool), Failure> {
        let parameters: [Parameter<'_>; 4] = [
            (&request.session_id, Type::TEXT),
            (&request.after_index, Type::INT8),
            (&REMOVED_AT_ONCE, Type::INT8),
            (&request.through_index, Type::INT8),
        ];
        let removed = client.execute_typed(&self.remove_newest, &parameters).await;
        let removed = removed.map_err(|error| Failure::of_writing(&error, Table::Events))?;
        Ok((removed, removed >= REMOVED_AT_ONCE.unsigned_abs()))
    }
}

/// The labels that are to be changed, by session, in the order of the parts.
fn changes<'a>(parts: &[&'a CheckedPart<'_>]) -> impl Iterator<Item = (&'a str, &'a LabelChanges)> {
    parts
        .iter()
        .filter_map(|part| Some((part.session_id, part.labels.filter(|changes| !changes.is_empty())?)))
}

/// The sessions of those parts that have events, and from where to where each is looked at.
fn ranges<'a>(parts: &[&'a CheckedPart<'_>]) -> (Vec<&'a str>, (Vec<i64>, Vec<i64>)) {
    let range = |part: &&'a CheckedPart<'_>| {
        let (first, last) = (part.events.first()?, part.events.last()?);
        Some((
            part.session_id,
            (part.follows.unwrap_or(first.event_index), last.event_index),
        ))
    };
    parts.iter().filter_map(range).unzip()
}
