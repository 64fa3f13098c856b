//! How many rows a refusal of the server's is about: that decides which other rows of a batch are worth a try. `write`
//! asks it.

use tokio_postgres::error::DbError;

use super::error::Failure;
use crate::store::error::ErrorKind;

/// One of the two tables that are written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Table {
    Sessions,
    Events,
}

/// What a refusal is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
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
    pub(super) fn of(refusal: &DbError, kind: ErrorKind, table: Option<Table>) -> Self {
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

/// What was refused in a batch, so that what will be refused too is not tried.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    /// Tables that refuse every row.
    tables: Vec<(Table, Failure)>,
    /// The last row that was refused alone for a reason that may be all rows'.
    last: Option<Failure>,
    /// Tables that have stored a row, and so do not refuse every one.
    storing: Vec<Table>,
}

impl Refusals {
    /// Why the table refuses every row, if it does.
    pub(super) fn of_table(&self, table: Table) -> Option<&Failure> {
        self.tables
            .iter()
            .find(|(refusing, _)| *refusing == table)
            .map(|(_, failure)| failure)
    }

    pub(super) fn of_all_rows(&mut self, table: Table, failure: Failure) {
        self.tables.push((table, failure));
    }

    /// Notes that the table has stored a row.
    pub(super) fn stored(&mut self, table: Table) {
        if !self.storing.contains(&table) {
            self.storing.push(table);
        }
    }

    /// Notes a row that was refused alone.
    pub(super) fn of_one_row(&mut self, failure: Failure) {
        let Some(table) = failure.table() else {
            return;
        };
        if failure.reach() != Reach::Unknown || self.storing.contains(&table) {
            return;
        }
        match &self.last {
            Some(last) if last.is_the_same_as(&failure) => self.of_all_rows(table, failure),
            _ => self.last = Some(failure),
        }
    }
}
