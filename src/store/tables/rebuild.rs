//! The tables that there are while the table of events is rebuilt.

use super::{TableName, TablePrefix};

/// See the module's description.
#[derive(Debug, Clone)]
pub struct RebuildTables {
    /// One row: which rebuild is under way, and when it did its last step. While it is there, the others are ours.
    pub state: TableName,
    /// The fresh table.
    pub copy: TableName,
    /// The places that were changed meanwhile.
    pub changes: TableName,
    /// The old table, once the fresh one is in its place.
    pub replaced: TableName,
    /// What the triggers are called that put down changes; a number follows.
    pub trigger: String,
}

impl RebuildTables {
    /// Those that begin with the prefix; the schema, if there is one, is quoted already.
    pub(in crate::store) fn new(quoted_schema: Option<&str>, prefix: &TablePrefix) -> Self {
        let name = |table| TableName::new(quoted_schema, prefix, table);
        Self {
            state: name("persist_rebuild"),
            copy: name("persist_rebuild_copy"),
            changes: name("persist_rebuild_changes"),
            replaced: name("persist_rebuild_replaced"),
            trigger: name("persist_rebuild_note").plain,
        }
    }

    /// All of them.
    #[must_use]
    pub fn all(&self) -> [&TableName; 4] {
        [&self.copy, &self.changes, &self.replaced, &self.state]
    }
}
