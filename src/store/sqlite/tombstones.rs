//! Which sessions were deleted, as a transaction that writes to some must know. `write` and `single` ask.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use rusqlite::{Connection, params};

use super::tables::Tables;
use crate::store::deleted::oldest;

/// The statements that ask.
pub(super) struct Tombstones {
    are_any: String,
    has: String,
}

/// What one transaction was answered.
pub(super) struct Deleted<'a> {
    /// The sessions that were asked for. Nothing, when there are no tombstones at all.
    asked: Option<HashMap<&'a str, bool>>,
    oldest: i64,
}

impl Tombstones {
    pub(super) fn new(Tables { deleted, .. }: &Tables) -> Self {
        Self {
            are_any: format!("SELECT EXISTS (SELECT 1 FROM {deleted} WHERE deleted_at > ?1)"),
            has: format!("SELECT EXISTS (SELECT 1 FROM {deleted} WHERE id = ?1 AND deleted_at > ?2)"),
        }
    }

    /// Looks whether there are any, in the transaction that is open: others can add none until it ends.
    pub(super) fn look<'a>(&self, connection: &Connection) -> rusqlite::Result<Deleted<'a>> {
        let oldest = oldest();
        let are_any: bool = connection
            .prepare_cached(&self.are_any)?
            .query_row([oldest], |row| row.get(0))?;
        Ok(Deleted {
            asked: are_any.then(HashMap::new),
            oldest,
        })
    }

    /// Whether the session was deleted. It is looked up once in the transaction.
    pub(super) fn has<'a>(
        &self,
        connection: &Connection,
        deleted: &mut Deleted<'a>,
        session_id: &'a str,
    ) -> rusqlite::Result<bool> {
        let Some(asked) = &mut deleted.asked else {
            return Ok(false);
        };
        match asked.entry(session_id) {
            Entry::Occupied(known) => Ok(*known.get()),
            Entry::Vacant(unknown) => {
                let has = connection
                    .prepare_cached(&self.has)?
                    .query_row(params![session_id, deleted.oldest], |row| row.get(0))?;
                Ok(*unknown.insert(has))
            }
        }
    }
}
