//! Where the events of one session go when others write to it too: free places are taken, events that are stored already
//! are replaced, and those whose place is taken by another event get the next index, or are refused. Those that follow a
//! reassigned one get the next index as well ([`crate::store::reassigned`]). `write` calls it.
//!
//! The session's other writers of this package are kept out by an advisory lock; whoever does not take it is met by the
//! unique index, and then everything begins anew. An event's place is changed only when it is known to be taken, so a
//! try of which nobody knows how it ended can be repeated: an event stored by it is found at the place it was given.

use std::collections::HashMap;
use std::time::Duration;

use futures_util::future::{join3, join4};
use tokio_postgres::Client;
use tokio_postgres::types::{ToSql, Type};

use super::error::{Failure, Remedy, Table};
use super::progress::BatchedWrite;
use super::session_lock::lock_session;
use super::statement::{PlacedEvent, Replaced, Statements};
use super::tables::Tables;
use crate::store::error::{ErrorKind, StoreError};
use crate::store::model::{MAX_SAFE_INTEGER, SessionRecord};
use crate::store::reassigned::must_follow;
use crate::store::write::{Write, WriteResult};
use crate::store::{Answer, IndexConflict};

/// See the module's description.
pub(super) struct Places<'a> {
    session_id: &'a str,
    writes: Vec<BatchedWrite<'a>>,
    /// For each write that is an event, the index it is to be stored at.
    indexes: Vec<i64>,
    tables: &'a Tables,
    index_conflict: IndexConflict,
    were_free: bool,
    /// Whether a try may have stored the events at these indexes, and nobody knows.
    is_unsure: bool,
}

/// What is to be done for the writes, by what is stored.
struct Plan<'a> {
    session: Option<&'a SessionRecord<'a>>,
    insert: Vec<PlacedEvent<'a>>,
    replace: Vec<PlacedEvent<'a>>,
    answers: Vec<WriteResult>,
}

/// The index that an event asks for.
fn asked(batched: &BatchedWrite<'_>) -> i64 {
    match batched.write {
        Write::InsertEvent(event) => event.event_index,
        Write::UpdateSession(_) => 0,
    }
}

impl<'a> Places<'a> {
    pub(super) fn new(
        session_id: &'a str,
        writes: Vec<BatchedWrite<'a>>,
        tables: &'a Tables,
        index_conflict: IndexConflict,
    ) -> Self {
        let index = |batched: &BatchedWrite<'_>| batched.reassigned_to.unwrap_or_else(|| asked(batched));
        Self {
            session_id,
            is_unsure: writes.iter().any(|batched| batched.reassigned_to.is_some()),
            indexes: writes.iter().map(index).collect(),
            writes,
            tables,
            index_conflict,
            were_free: false,
        }
    }

    /// The writes whose places these are.
    pub(super) fn writes(&self) -> &[BatchedWrite<'a>] {
        &self.writes
    }

    /// The writes, and where each event that was given another index than its own may be stored though nobody knows.
    pub(super) fn unsure(&self) -> impl Iterator<Item = (BatchedWrite<'a>, Option<i64>)> {
        let given = self.writes.iter().zip(&self.indexes);
        given.map(|(batched, index)| match batched.write {
            Write::InsertEvent(event) if self.is_unsure && event.event_index != *index => (*batched, Some(*index)),
            _ => (*batched, None),
        })
    }

    /// Gives up the places of those writes that are not to be kept.
    pub(super) fn retain(&mut self, mut keep: impl FnMut(&BatchedWrite<'a>) -> bool) {
        let kept = self
            .writes
            .iter()
            .zip(&self.indexes)
            .filter(|(batched, _)| keep(batched));
        (self.writes, self.indexes) = kept.map(|(batched, index)| (*batched, *index)).unzip();
    }

    /// The same in pieces of `size` writes, the first on top of the stack; each event with the place that it was given, if
    /// it may be stored there.
    pub(super) fn split(self, size: usize) -> Vec<Self> {
        let each: Vec<_> = self.unsure().collect();
        let pieces = each.chunks(size).rev().map(|piece| Self {
            session_id: self.session_id,
            writes: piece.iter().map(|(write, _)| *write).collect(),
            indexes: piece
                .iter()
                .map(|(write, reassigned_to)| reassigned_to.unwrap_or_else(|| asked(write)))
                .collect(),
            tables: self.tables,
            index_conflict: self.index_conflict,
            were_free: false,
            is_unsure: self.is_unsure,
        });
        pieces.collect()
    }

    /// Whether there were events, and each found its own place free or its own.
    pub(super) fn were_free(&self) -> bool {
        self.were_free
    }

    /// One transaction that takes two round trips; says for each write what came of it. `last_reassigned` is the index that an
    /// event of the session was last reassigned to.
    pub(super) async fn store(
        &mut self,
        client: &Client,
        statements: &Statements,
        last_reassigned: Option<i64>,
        lock_limit: Duration,
    ) -> Result<Vec<WriteResult>, Failure> {
        let mut tried: Option<Vec<i64>> = None;
        loop {
            match self.try_store(client, statements, last_reassigned, lock_limit).await {
                Err(failure) if failure.remedy == Remedy::AnotherPlace => {
                    client.batch_execute("ROLLBACK").await?;
                    // The same places again, though they are free: it is not them that are refused, but something else
                    // in a row, by an index of the table's owner.
                    if tried.as_ref() == Some(&self.indexes) {
                        return Err(failure);
                    }
                    tried = Some(self.indexes.clone());
                }
                Err(failure) => {
                    // A broken connection is dropped by the caller; another goes back to its pool.
                    if failure.remedy != Remedy::Reconnect {
                        client.batch_execute("ROLLBACK").await?;
                    }
                    return Err(failure);
                }
                stored => return stored,
            }
        }
    }

    async fn try_store(
        &mut self,
        client: &Client,
        statements: &Statements,
        last_reassigned: Option<i64>,
        lock_limit: Duration,
    ) -> Result<Vec<WriteResult>, Failure> {
        let (highest, stored) = self.begin(client, statements).await?;
        let plan = self.plan(highest, stored, last_reassigned);
        // It stays so if the answer never comes, or comes when it is done.
        let was_unsure = std::mem::replace(&mut self.is_unsure, true);
        let done = send(client, statements, &plan, lock_limit).await;
        if matches!(&done, Err(failure) if failure.is_refusal()) {
            self.is_unsure = was_unsure;
        }
        done.map(|()| plan.answers)
    }

    /// Begins the transaction, waits for the session's other writers, and reads the session's highest index and what is
    /// stored at the places that are wanted.
    async fn begin(
        &self,
        client: &Client,
        statements: &Statements,
    ) -> Result<(Option<i64>, HashMap<i64, String>), Failure> {
        let wanted: [(&(dyn ToSql + Sync), Type); 2] =
            [(&self.session_id, Type::TEXT), (&self.indexes, Type::INT8_ARRAY)];
        // A record has no place, and must not need the right to read events.
        let read = async || {
            if self.has_events() {
                client.query_typed(&statements.places, &wanted).await
            } else {
                Ok(Vec::new())
            }
        };
        let (began, locked, rows) = join3(
            client.batch_execute(&statements.begin),
            lock_session(client, self.tables, self.session_id),
            read(),
        )
        .await;
        began?;
        locked?;
        let mut highest = None;
        let mut stored = HashMap::new();
        for row in rows.map_err(|error| Failure::of_writing(&error, Table::Events))? {
            highest = row.try_get(0)?;
            if let (Some(index), Some(id)) = (row.try_get(1)?, row.try_get(2)?) {
                stored.insert(index, id);
            }
        }
        Ok((highest, stored))
    }

    fn has_events(&self) -> bool {
        self.writes.iter().any(|batched| batched.table() == Table::Events)
    }

    /// Gives every event its place, in the order of the calls.
    fn plan(&mut self, highest: Option<i64>, stored: HashMap<i64, String>, last_reassigned: Option<i64>) -> Plan<'a> {
        let mut plan = Plan {
            session: None,
            insert: Vec::new(),
            replace: Vec::new(),
            answers: Vec::with_capacity(self.writes.len()),
        };
        self.were_free = self.has_events();
        let mut highest = highest.unwrap_or(-1);
        let mut last_reassigned = last_reassigned;
        // What is at a place, and where in `insert` or `replace` it stands if it is of this batch.
        let mut taken: HashMap<i64, Taken<'a>> = HashMap::new();
        for (index, id) in stored {
            taken.insert(index, Taken::Stored(id));
        }
        for (batched, index) in self.writes.iter().zip(&mut self.indexes) {
            let event = match batched.write {
                Write::UpdateSession(record) => {
                    plan.session = Some(record);
                    plan.answers.push(Ok(Answer::Done));
                    continue;
                }
                Write::InsertEvent(event) => event,
            };
            let answer = loop {
                let placed = PlacedEvent { event, index: *index };
                match taken.get(index) {
                    None if !must_follow(*index, last_reassigned, Some(highest)) => {
                        taken.insert(*index, Taken::Inserted(&event.id, plan.insert.len()));
                        plan.insert.push(placed);
                        highest = highest.max(*index);
                    }
                    Some(Taken::Stored(id)) if *id == event.id => {
                        taken.insert(*index, Taken::Replaced(&event.id, plan.replace.len()));
                        plan.replace.push(placed);
                    }
                    Some(Taken::Inserted(id, at)) if **id == event.id => plan.insert[*at] = placed,
                    Some(Taken::Replaced(id, at)) if **id == event.id => plan.replace[*at] = placed,
                    None | Some(_) => {
                        self.were_free = false;
                        if self.index_conflict == IndexConflict::Reject {
                            break Err(StoreError::index_taken(&self.tables.events.plain));
                        }
                        if highest >= MAX_SAFE_INTEGER {
                            break Err(StoreError::no_free_index(self.session_id));
                        }
                        *index = highest + 1;
                        continue;
                    }
                }
                break Ok(if *index == event.event_index {
                    Answer::Done
                } else {
                    last_reassigned = Some(*index);
                    Answer::Reassigned(*index)
                });
            };
            plan.answers.push(answer);
        }
        plan.insert.sort_unstable_by_key(|placed| placed.index);
        plan.replace.sort_unstable_by_key(|placed| placed.index);
        plan
    }
}

/// Does what was planned, and commits it.
async fn send(client: &Client, statements: &Statements, plan: &Plan<'_>, lock_limit: Duration) -> Result<(), Failure> {
    let session: Vec<&SessionRecord<'_>> = plan.session.into_iter().collect();
    // In the order in which every transaction of ours touches rows (`super::rows`).
    let (session_count, replaced, inserted, committed) = join4(
        statements.update_sessions(client, &session, lock_limit),
        statements.replace_events(client, &plan.replace, lock_limit),
        statements.insert_events(client, &plan.insert, lock_limit),
        client.batch_execute("COMMIT"),
    )
    .await;
    let (session_count, replaced, inserted) = (session_count?, replaced?, inserted?);
    committed?;
    if session_count != session.len() as u64 || inserted != plan.insert.len() as u64 {
        return Err(Failure::swallowed(Remedy::None));
    }
    match replaced {
        Replaced::All => {}
        Replaced::Swallowed => return Err(Failure::swallowed(Remedy::None)),
        // Their places are free now.
        Replaced::Deleted => {
            return Err(Failure::new(
                Remedy::Retry,
                ErrorKind::Busy,
                "somebody deletes the session's events",
            ));
        }
    }
    Ok(())
}

/// What is at a place.
enum Taken<'a> {
    /// An event with this id, from before.
    Stored(String),
    /// An event of this batch, and where it stands among those to insert.
    Inserted(&'a str, usize),
    /// An event of this batch, and where it stands among those to replace.
    Replaced(&'a str, usize),
}
