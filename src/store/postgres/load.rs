//! Loading sessions, and taking back what was loaded of one. `upkeep` calls it.
//!
//! A step is a transaction of three round trips. The first says which sessions were deleted, and what is at the places that the parts
//! want; the second inserts what is missing; the third commits, if that is all there. Whoever takes one of these places in between is
//! met by the unique index, and then everything begins anew.

mod statements;

use std::collections::HashSet;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream;
use tokio::time::{Instant, sleep};

use self::statements::Found;
pub(super) use self::statements::Statements as LoadStatements;
use super::connection::Connection;
use super::database::{Database, Purpose};
use super::deadline::Deadline;
use super::error::{Failure, Reach, Remedy, Table};
use super::refusal::Refusals;
use super::statement::{PlacedEvent, Statements, limit_locks};
use super::text::{check_event, check_record, check_session_id};
use crate::store::deleted;
use crate::store::error::StoreError;
use crate::store::labels::check_count;
use crate::store::load::{
    CheckedPart, LoadStep, Loaded, PartResult, TakeBack, TakenBack, nothing_to_follow, place_taken,
};
use crate::store::model::SessionRecord;
use crate::store::{Answer, JobAnswer};

/// How long a step waits for a locked row. It is tried again.
const LOCK_LIMIT: Duration = Duration::from_millis(100);

/// The pause after a row was locked.
const LOCK_PAUSE: Duration = Duration::from_millis(50);

/// How many events one statement inserts, and how many of these are sent before the first is answered. They are in memory a second
/// time.
const EVENTS_AT_ONCE: usize = 1_000;
const UNDER_WAY: usize = 4;

/// How much text a step has whose connection is closed after it: a connection keeps the memory of its longest message, and that twice.
const LARGE_BYTES: usize = 16 << 20;

/// Nobody reads this message: it has the commit wait for a standby.
const EMIT: &str = "SELECT pg_catalog.pg_logical_emit_message(true, 'sandbox-agent-persist', ''::pg_catalog.text)";

/// See the module's description.
pub(super) struct Loading<'a> {
    pub(super) database: &'a Database,
    pub(super) statements: &'a Statements,
    pub(super) load_statements: &'a LoadStatements,
}

/// A part that is worth a try, and where it stands in its step.
#[derive(Clone, Copy)]
struct Sound<'a> {
    position: usize,
    part: &'a CheckedPart<'a>,
}

impl Loading<'_> {
    /// Loads the parts of a step.
    pub(super) async fn load(&self, step: &LoadStep) -> Result<Answer, Failure> {
        let checked: Vec<_> = step
            .check()
            .into_iter()
            .map(|part| part.and_then(check_texts))
            .collect();
        let mut results: Vec<PartResult> = Vec::with_capacity(checked.len());
        let mut sound = Vec::with_capacity(checked.len());
        for (position, part) in checked.iter().enumerate() {
            results.push(part.as_ref().map(|_| ()).map_err(StoreError::clone));
            sound.extend(part.as_ref().ok().map(|part| Sound { position, part }));
        }
        // In the order in which every transaction of ours touches rows (`super::rows`).
        sound.sort_unstable_by_key(|sound| sound.part.session_id);
        let mut refusals = Refusals::default();
        let mut pieces = vec![sound];
        while let Some(piece) = pieces.pop() {
            match self.store(&piece, &mut results).await {
                Ok(()) => {}
                // Halves lead to the part that is to blame, which is refused alone.
                Err(failure) if matches!(failure.reach(), Reach::Row | Reach::Unknown) => {
                    if let [one] = piece[..] {
                        let doing = format!("{} {}", one.part.doing(), self.database.options.target.name());
                        results[one.position] = Err(failure.clone().into_error(&doing));
                        refusals.of_one_row(failure);
                        for table in [Table::Sessions, Table::Events] {
                            refusals
                                .of_table(table)
                                .map_or(Ok(()), |failure| Err(failure.clone()))?;
                        }
                    } else {
                        let (first, second) = piece.split_at(piece.len() / 2);
                        pieces.extend([second.to_vec(), first.to_vec()]);
                    }
                }
                Err(failure) => return Err(failure),
            }
        }
        Ok(Answer::OfJob(JobAnswer::Loaded(Loaded {
            parts: results,
            // Others write meanwhile.
            took: Duration::ZERO,
        })))
    }

    /// Stores parts as one transaction, and notes which are refused for what is stored already.
    async fn store(&self, piece: &[Sound<'_>], results: &mut [PartResult]) -> Result<(), Failure> {
        let until = self.database.deadline();
        let mut was_taken = false;
        loop {
            let tried = self
                .database
                .run_in_parts(Purpose::Load, until, async |connection, deadline| {
                    let tried = self.try_store(connection, deadline, piece).await;
                    if matches!(&tried, Err(failure) if failure.remedy != Remedy::Reconnect) {
                        connection.batch_execute("ROLLBACK").await?;
                    }
                    tried
                });
            match tried.await {
                Ok(refused) => {
                    for (position, refusal) in refused {
                        results[position] = Err(refusal);
                    }
                    return Ok(());
                }
                // Somebody was quicker. If it is the same again, another unique index refuses a row.
                Err(failure) if failure.remedy == Remedy::AnotherPlace && !was_taken => was_taken = true,
                Err(failure) if failure.remedy == Remedy::AnotherTime && Instant::now() + LOCK_PAUSE < until => {
                    sleep(LOCK_PAUSE).await;
                }
                Err(failure) => return Err(failure.of_many_rows()),
            }
        }
    }

    /// One transaction. Says which parts are refused.
    async fn try_store(
        &self,
        connection: &Connection,
        deadline: &Deadline,
        piece: &[Sound<'_>],
    ) -> Result<Vec<(usize, StoreError)>, Failure> {
        let parts: Vec<&CheckedPart<'_>> = piece.iter().map(|sound| sound.part).collect();
        let (began, limited, found) = futures_util::join!(
            connection.batch_execute(&self.statements.begin),
            limit_locks(connection, LOCK_LIMIT),
            self.load_statements.find(connection, &parts),
        );
        began?;
        limited?;
        let found = found?;
        let target = self.database.options.target.name();
        let (mut refused, mut events, mut stored) = (Vec::new(), Vec::new(), Vec::new());
        for Sound { position, part } in piece {
            match missing(part, &found, target) {
                Ok(missing) => {
                    events.extend(missing);
                    stored.push(*part);
                }
                Err(refusal) => refused.push((*position, refusal)),
            }
        }
        let records: Vec<&SessionRecord<'_>> = stored.iter().filter_map(|part| part.record.as_ref()).collect();
        let insert = async || {
            let mut inserted = 0;
            let mut answers = stream::iter(events.chunks(EVENTS_AT_ONCE))
                .map(|events| self.statements.insert_events(connection, events, LOCK_LIMIT))
                .buffered(UNDER_WAY);
            while let Some(answer) = answers.next().await {
                inserted += answer?;
                deadline.renew();
            }
            Ok::<u64, Failure>(inserted)
        };
        // What is there already may have been committed without the standby that its commit was to wait for.
        let wait_for_standby = async || {
            if found.events.is_empty() {
                return Ok(());
            }
            connection.query_typed(EMIT, &[]).await.map(drop)
        };
        // Each is sent before those in front of it are answered. When one fails the server does not do those that follow.
        let (labelled, updated, waits, inserted) = futures_util::join!(
            self.load_statements.change_labels(connection, &stored),
            self.statements.update_sessions(connection, &records, LOCK_LIMIT),
            wait_for_standby(),
            insert(),
        );
        labelled?;
        let updated = updated?;
        waits?;
        let inserted = inserted?;
        // A part of which a row is missing is not stored.
        if updated < records.len() as u64 || inserted < events.len() as u64 {
            return Err(Failure::swallowed(Remedy::None));
        }
        connection.batch_execute("COMMIT").await?;
        let bytes: usize = events.iter().map(|placed| placed.event.payload.len()).sum();
        if bytes > LARGE_BYTES {
            connection.retire();
        }
        Ok(refused)
    }

    /// Removes some of the newest events of a session that is loaded only in part.
    pub(super) async fn take_back(&self, request: &TakeBack) -> Result<Answer, Failure> {
        let removed = self
            .database
            .run(Purpose::Load, self.database.deadline(), async |connection| {
                self.load_statements.remove_newest(connection, request).await
            });
        let (events, is_more) = removed.await?;
        Ok(Answer::OfJob(JobAnswer::TakenBack(TakenBack {
            events,
            is_more,
            took: Duration::ZERO,
        })))
    }
}

/// Refuses a part with a text that Postgres cannot hold.
fn check_texts(part: CheckedPart<'_>) -> Result<CheckedPart<'_>, StoreError> {
    check_session_id(part.session_id)?;
    part.record.as_ref().map_or(Ok(()), check_record)?;
    part.events.iter().try_for_each(check_event)?;
    Ok(part)
}

/// The events of a part that are not stored, or why it is refused.
fn missing<'a>(part: &'a CheckedPart<'a>, found: &Found, target: &str) -> Result<Vec<PlacedEvent<'a>>, StoreError> {
    let doing = || format!("{} {target}", part.doing());
    if found.deleted.contains(part.session_id) {
        return Err(deleted::refusal(&doing()));
    }
    if let Some(changes) = part.labels {
        let stored = found.labels.get(part.session_id);
        let before = stored.map_or(0, HashSet::len);
        let added = changes
            .set()
            .filter(|(name, _)| !stored.is_some_and(|names| names.contains(*name)));
        let removed = changes
            .removed()
            .filter(|name| stored.is_some_and(|names| names.contains(*name)));
        let after = before + added.count() - removed.count();
        let [before, after] = [before, after].map(|count| i64::try_from(count).unwrap_or(i64::MAX));
        check_count(part.session_id, before, after)?;
    }
    let stored = found.events.get(part.session_id);
    if let Some(index) = part.follows
        && !stored.is_some_and(|stored| stored.contains_key(&index))
    {
        return Err(nothing_to_follow(&doing(), index));
    }
    let mut missing = Vec::with_capacity(part.events.len());
    for event in &part.events {
        let index = event.event_index;
        match stored.and_then(|stored| stored.get(&index)) {
            None => missing.push(PlacedEvent { event, index }),
            Some(id) if *id == *event.id => {}
            Some(_) => return Err(place_taken(&doing(), index)),
        }
    }
    Ok(missing)
}
