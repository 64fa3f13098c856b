//! What was refused in a batch, so that what will be refused too is not tried. `write` asks it.

use super::error::{Failure, Reach, Table};

/// See the module's description.
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
