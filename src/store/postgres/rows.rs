//! Writes as the rows that they become: several of them together are one transaction. `write` sends them.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::join4;
use tokio_postgres::Client;

use super::error::{Failure, Remedy};
use super::progress::BatchedWrite;
use super::statement::{PlacedEvent, Statements};
use crate::store::model::SessionRecord;
use crate::store::write::Write;

/// The rows of writes that are committed together, in the order in which every transaction of ours touches rows: sessions
/// by their ids, then events by their places. So no two transactions ever wait for each other.
pub(super) struct Rows<'a> {
    sessions: Vec<&'a SessionRecord<'a>>,
    events: Vec<PlacedEvent<'a>>,
}

impl<'a> Rows<'a> {
    pub(super) fn of(piece: &[BatchedWrite<'a>]) -> Self {
        let mut sessions = BTreeMap::new();
        let mut events = Vec::with_capacity(piece.len());
        for batched in piece {
            match batched.write {
                // The last one of a session stands.
                Write::UpdateSession(record) => {
                    sessions.insert(&*record.id, record);
                }
                Write::InsertEvent(event) => events.push(PlacedEvent {
                    event,
                    index: event.event_index,
                }),
            }
        }
        events.sort_unstable_by_key(|placed| (&*placed.event.session_id, placed.index));
        Self {
            sessions: sessions.into_values().collect(),
            events,
        }
    }

    /// The sessions of those events whose places are taken.
    pub(super) async fn taken_sessions(
        &self,
        client: &Client,
        statements: &Statements,
    ) -> Result<Vec<String>, Failure> {
        statements.taken_sessions(client, &self.events).await
    }

    /// One transaction, and one round trip to the server.
    pub(super) async fn store(
        &self,
        client: &Client,
        statements: &Statements,
        lock_limit: Duration,
    ) -> Result<(), Failure> {
        let (sessions, events) = if self.sessions.is_empty() {
            (0, statements.insert_events(client, &self.events, lock_limit).await?)
        } else if self.events.is_empty() {
            (statements.update_sessions(client, &self.sessions, lock_limit).await?, 0)
        } else {
            // All are sent before the first is answered. When one fails the server does not do those that follow, and takes
            // COMMIT for ROLLBACK.
            let (began, sessions, events, committed) = join4(
                client.batch_execute(&statements.begin),
                statements.update_sessions(client, &self.sessions, lock_limit),
                statements.insert_events(client, &self.events, lock_limit),
                client.batch_execute("COMMIT"),
            )
            .await;
            began?;
            let counts = (sessions?, events?);
            committed?;
            counts
        };
        if sessions < self.sessions.len() as u64 {
            return Err(Failure::swallowed(Remedy::None));
        }
        if events < self.events.len() as u64 {
            // Those that are there are found at their places, and the others are tried once more, alone.
            return Err(Failure::swallowed(Remedy::AnotherPlace));
        }
        Ok(())
    }
}
