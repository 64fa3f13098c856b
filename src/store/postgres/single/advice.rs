//! What to do where rows cannot be removed, since the owner of their table does not let them go. The files beside this one ask, and so do
//! `compaction` and `trim`. Each says what is left of its own work.

use crate::store::error::ErrorKind;
use crate::store::postgres::error::{Failure, Remedy};

/// Rows of the table are there that were to be removed.
pub(in crate::store::postgres) fn kept(table: &str, left: &str) -> Failure {
    Failure::new(
        Remedy::None,
        ErrorKind::InvalidArgument,
        format!(
            "a trigger or rule of the owner of {table} kept its rows; {left}, drop it and call again (a policy of row level security does \
             the same)"
        ),
    )
}

/// The same failure, with advice for who removes rows.
pub(in crate::store::postgres) fn advised(failure: Failure, left: &str) -> Failure {
    match failure.sql_state() {
        Some("42501") => failure.with_advice(format!(
            "this user has no right to do that; {left}, grant DELETE on the tables beside SELECT, INSERT and UPDATE"
        )),
        // The last is the server's word for a rule of `CREATE RULE`.
        Some("23503" | "P0001" | "0A000") => {
            let mut failure = failure.with_advice(format!(
                "a rule of a table's owner forbids it, such as a foreign key on the session or a trigger (see `cause`); {left}"
            ));
            failure.kind = ErrorKind::InvalidArgument;
            failure
        }
        _ => failure,
    }
}
