//! Copying a session under a new id: what is asked for, what is in the way, and the labels that say where a copy is from. Both
//! backends use it, and `bindings` makes requests.

use super::error::{ErrorKind, Quoted, StoreError};
use super::labels::MAX_VALUE_BYTES;
use super::model::MAX_SAFE_INTEGER;

/// The label of a fork that holds the id of the session that it was copied from.
const FORKED_FROM: &str = "forkedFrom";

/// The label of a fork that holds the highest index that was copied, if there was an event to copy.
const FORKED_THROUGH: &str = "forkedThrough";

/// The labels that are a fork's own, and are not copied when it is forked itself.
pub const LINEAGE: [&str; 2] = [FORKED_FROM, FORKED_THROUGH];

/// A session to be copied, as it was called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForkRequest {
    source_id: String,
    fork_id: String,
    through_index: i64,
}

impl ForkRequest {
    /// Copies `source_id` under the id `fork_id`: the events up to and including `through_index`, or all.
    pub fn new(source_id: String, fork_id: String, through_index: Option<i64>) -> Result<Self, StoreError> {
        if source_id.len() > MAX_VALUE_BYTES || source_id.contains('\0') {
            return Err(StoreError::invalid(format!(
                "session {} cannot be forked: a fork keeps the id of its source in its label {FORKED_FROM:?}, which holds at most \
                 {MAX_VALUE_BYTES} bytes and no U+0000; this id has {} bytes",
                Quoted(&source_id),
                source_id.len()
            )));
        }
        Ok(Self {
            source_id,
            fork_id,
            through_index: through_index.unwrap_or(MAX_SAFE_INTEGER),
        })
    }

    /// The session that is copied.
    #[must_use]
    pub fn source_id(&self) -> &str {
        &self.source_id
    }

    /// The session that the copy is to be.
    #[must_use]
    pub fn fork_id(&self) -> &str {
        &self.fork_id
    }

    /// The highest index that may be copied.
    #[must_use]
    pub fn through_index(&self) -> i64 {
        self.through_index
    }

    /// How much text it keeps in memory.
    #[must_use]
    pub fn text_bytes(&self) -> usize {
        self.source_id.len() + self.fork_id.len()
    }

    /// The names and values of the labels that say where the copy is from. `last` is the highest index that was copied.
    #[must_use]
    pub fn lineage(&self, last: Option<i64>) -> Vec<(&'static str, String)> {
        let from = (FORKED_FROM, self.source_id.clone());
        let through = last.map(|index| (FORKED_THROUGH, index.to_string()));
        [Some(from), through].into_iter().flatten().collect()
    }

    /// There is nothing to copy.
    #[must_use]
    pub fn not_found(&self) -> StoreError {
        StoreError::new(
            ErrorKind::NotFound,
            format!(
                "session {} cannot be forked: it has no record; check its id, and that it was not deleted",
                Quoted(&self.source_id)
            ),
        )
    }

    /// The new id is not free.
    #[must_use]
    pub fn taken(&self, by: Taken) -> StoreError {
        let by = match by {
            Taken::Record => "there is a session with that id",
            Taken::Events => "there are events of a session with that id",
            Taken::Labels => "there are labels of a session with that id",
            Taken::Tombstone => "a session with that id was deleted less than 30 days ago",
        };
        StoreError::invalid(format!(
            "session {} cannot be forked to {}: {by}; pass another id, or none",
            Quoted(&self.source_id),
            Quoted(&self.fork_id)
        ))
    }
}

/// What may stand under an id, so that no fork can have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// A session's record.
    Record,
    /// Events.
    Events,
    /// Labels.
    Labels,
    /// What is kept of a deleted session.
    Tombstone,
}

impl Taken {
    /// In the order in which they are looked for.
    pub const ALL: [Self; 4] = [Self::Record, Self::Events, Self::Labels, Self::Tombstone];
}
