//! Which rows of a batch a refusal of the server's is about.

use tokio_postgres::error::DbError;

use crate::store::error::ErrorKind;

/// One of the two tables that are written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store::postgres) enum Table {
    Sessions,
    Events,
}

/// What a refusal is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store::postgres) enum Reach {
    /// One row: the others are worth a try without it.
    Row,
    /// One row perhaps. When a second one is refused alone for the same reason, and none was stored, it is about all rows of
    /// their table.
    Unknown,
    /// All rows of this table.
    Table(Table),
    /// All that was sent.
    Everything,
}

impl Reach {
    /// What `refusal`, which is of this kind, is about; `table` is where it was written to.
    pub(in crate::store::postgres) fn of(refusal: &DbError, kind: ErrorKind, table: Option<Table>) -> Self {
        // Something of the owner's was running, such as a trigger, which need not do the same for each row.
        let in_owners_code = refusal.where_().is_some();
        match (refusal.code().code(), refusal.routine()) {
            ("42501", _) if in_owners_code => Self::Row,
            // The table's rights, which are looked at before the first row. With row level security it is another function
            // of the server's, `ExecWithCheckOptions`, that refuses one row.
            ("42501", Some("aclcheck_error")) => table.map_or(Self::Everything, Self::Table),
            ("42501", Some("ExecWithCheckOptions") | None) => Self::Row,
            ("42501", Some(_)) => Self::Unknown,
            _ => match kind {
                ErrorKind::InvalidArgument => Self::Row,
                ErrorKind::Internal | ErrorKind::Schema if in_owners_code => Self::Row,
                ErrorKind::Internal => Self::Unknown,
                _ => Self::Everything,
            },
        }
    }
}
