//! A step of pruning a session. `super` calls it.
//!
//! Rows are taken in the order in which shared batches take them. Where the session is to go its record is locked first, so that
//! nobody writes it between the look at the conditions and the end of the step; the record goes last, since the owner's tables may
//! have a foreign key on it.

use futures_util::join;
use tokio::time::Instant;
use tokio_postgres::Client;
use tokio_postgres::types::Type;

use super::advice::kept;
use super::pace::Pace;
use super::{CURRENT_TRANSACTION, Done, Undone, was_committed};
use crate::store::postgres::error::Failure;
use crate::store::postgres::prunable::remove;
use crate::store::postgres::statement::Parameter;
use crate::store::postgres::tables::Tables;
use crate::store::prune::{Extent, PruneStep, Pruned, Rest};
use crate::store::{Answer, JobAnswer};

/// What a failure says of the steps before.
pub(super) const STAYS_REMOVED: &str = "what was removed before stays removed";

/// `before` is what an earlier try has done of which nobody knows how it ended.
pub(super) async fn prune(
    client: &Client,
    tables: &Tables,
    step: &PruneStep,
    pace: &Pace,
    before: Option<&Done>,
) -> Result<Done, Undone> {
    if let Some(before) = before
        && was_committed(client, before).await?
    {
        return Ok(before.clone());
    }
    let began = Instant::now();
    let rows = pace.rows();
    let (locked, piece, transaction) = join!(
        lock_record(client, tables, step),
        remove(client, tables, step, rows),
        client.query_typed(CURRENT_TRANSACTION, &[]),
    );
    locked?;
    let (mut piece, mut all_removed) = piece?;
    if !all_removed {
        // Another program may have deleted some in this moment. Then they are not found again.
        let before = piece;
        (piece, all_removed) = remove(client, tables, step, rows).await?;
        piece.events += before.events;
        piece.bytes += before.bytes;
    }
    let took = began.elapsed();
    pace.note(rows, took);
    if !all_removed {
        return Err(kept(&tables.events.plain, STAYS_REMOVED).into());
    }
    let rest = match (piece.meets, step.extent) {
        (false, _) => Rest::Spared,
        (true, _) if piece.is_more => Rest::More(piece.last),
        (true, Extent::Before(_)) => Rest::Nothing,
        // What came in below meanwhile goes with the last step, which begins anew.
        (true, Extent::All) if step.after.is_some() => Rest::More(None),
        (true, Extent::All) => {
            remove_record(client, tables, &step.session_id).await?;
            Rest::Nothing
        }
    };
    let pruned = Pruned {
        events: piece.events,
        bytes: piece.bytes,
        rest,
        took,
    };
    Ok(Done {
        answer: Answer::OfJob(JobAnswer::Pruned(pruned)),
        transaction: transaction?.first().map(|row| row.try_get(0)).transpose()?,
    })
}

/// Keeps others from writing the record, if it is to go.
async fn lock_record(client: &Client, tables: &Tables, step: &PruneStep) -> Result<(), Failure> {
    if step.extent == Extent::All {
        let sql = format!("SELECT 1 FROM {} WHERE id = $1 FOR UPDATE", tables.sessions);
        client.query_typed(&sql, &[(&step.session_id, Type::TEXT)]).await?;
    }
    Ok(())
}

async fn remove_record(client: &Client, tables: &Tables, session_id: &str) -> Result<(), Failure> {
    let Tables { sessions, labels, .. } = tables;
    let session: [Parameter<'_>; 1] = [(&session_id, Type::TEXT)];
    let (remove_labels, remove_record) = (
        format!("DELETE FROM {labels} WHERE session_id = $1"),
        format!("DELETE FROM {sessions} WHERE id = $1"),
    );
    let (labelled, recorded) = join!(
        client.execute_typed(&remove_labels, &session),
        client.execute_typed(&remove_record, &session),
    );
    labelled?;
    if recorded? == 0 {
        return Err(kept(&sessions.plain, STAYS_REMOVED));
    }
    Ok(())
}
