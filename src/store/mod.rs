//! The store: sessions and events on disk, in plain Rust. `bindings` calls it; it calls nobody.
//!
//! What every backend shares stands in this folder, and each file says what it is for: ARCHITECTURE.md has the list. A backend adds
//! its SQL and its connections in a folder of its own, and is a [`Store`].

pub mod access;
pub mod address;
mod answer;
pub mod backlog;
pub mod cap;
pub mod check;
pub mod commit;
pub mod compaction;
pub mod cursor;
pub mod deleted;
pub mod error;
pub mod find;
pub mod follow;
pub mod fork;
pub mod jobs;
pub mod labels;
pub mod list;
pub mod load;
pub mod message;
pub mod mode;
pub mod model;
pub mod notices;
pub mod operation;
pub mod page;
pub mod partial_file;
pub mod postgres;
pub mod prune;
pub mod reassigned;
pub mod rebuild;
pub mod remembered;
pub mod scan;
pub mod single;
pub mod sqlite;
pub mod statistics;
pub mod tables;
pub mod time;
pub mod transcript;
pub mod upkeep;
pub mod write;

pub use answer::{Answer, Completion, Deliver, JobAnswer};

use std::borrow::Cow;
use std::sync::Arc;

use address::StoreAddress;
use check::Look;
use compaction::CompactionStep;
use cursor::Position;
use error::Quoted;
use find::FindSessions;
use follow::FollowerId;
use list::{EventList, List, ListRequest, SessionList};
use operation::{Measured, Operation};
use prune::PruneStep;
use scan::Scan;
use statistics::Statistics;
use write::WriteRequest;

/// A database that is open, or being opened, in the background. All calls return at once; their completions arrive
/// through the [`Deliver`] that the store was opened with, on a thread of the store.
///
/// Dropping it commits what waits and releases everything, in the background.
pub trait Store<T> {
    /// What those call it who watch it.
    fn address(&self) -> &StoreAddress;
    /// What it counts of its own work.
    fn statistics(&self) -> &Arc<Statistics>;
    /// Answers once the database can be used.
    fn ready(&self, ticket: T);
    /// Commits writes with the next batch. The writes of one session commit in the order in which they come.
    fn write(&self, writes: Vec<(WriteRequest, T)>);
    /// Reads from the database, and shows at least what was answered as stored before the call.
    fn read(&self, request: ReadRequest, ticket: T);
    /// Adds a follower of the session, which is given its events after index `after`.
    fn follow(&self, follower: FollowerId, session_id: &str, after: i64);
    /// Answers with the follower's next events ([`Answer::Events`]) as soon as there are some, or with [`Answer::Done`] once
    /// there will be no more: the session is deleted, the store closed, or the follower forgotten. After an error it has
    /// ended too. A follower asks again when it was answered.
    fn next_events(&self, follower: FollowerId, ticket: T);
    /// Forgets the follower, and answers it if it waits.
    fn unfollow(&self, follower: FollowerId);
    /// Refuses new calls, commits and answers what waits, releases everything, and then answers, if anybody wants to hear
    /// of it. May be called again.
    fn close(&self, ticket: Option<T>);
}

/// A read as it was called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReadRequest {
    /// One session, by its id.
    GetSession {
        /// The session's id.
        id: String,
    },
    /// A session's labels.
    GetLabels {
        /// The session's id.
        session_id: String,
    },
    /// A page of sessions.
    ListSessions(ListRequest<SessionList>),
    /// A page of one session's events.
    ListEvents(ListRequest<EventList>),
    /// A page of the sessions that a job is to work on ([`JobAnswer::Sessions`]).
    FindSessions(FindSessions),
    /// What a step of pruning would remove ([`JobAnswer::Pruned`]).
    WouldPrune(PruneStep),
    /// The oldest of so many newest events of a session
    /// ([`JobAnswer::OldestOfNewest`]).
    OldestOfNewest {
        /// The session's id.
        session_id: String,
        /// How many events.
        count: i64,
    },
    /// For a job: messages of a session that begin or end turns, from the newest to the oldest.
    FindMessages {
        /// The session's id.
        session_id: String,
        /// Only those with a lower index, if there is one.
        below: Option<i64>,
    },
    /// For a job: what a step of compaction would do.
    TryCompaction(CompactionStep),
    /// How much the database holds: [`statistics::DatabaseSize`].
    Measure,
    /// A look of a check.
    Check(Look),
    /// What a copy reads of many sessions ([`JobAnswer::Scanned`]).
    Scan(Scan),
}

impl From<ListRequest<SessionList>> for ReadRequest {
    fn from(request: ListRequest<SessionList>) -> Self {
        Self::ListSessions(request)
    }
}

impl From<ListRequest<EventList>> for ReadRequest {
    fn from(request: ListRequest<EventList>) -> Self {
        Self::ListEvents(request)
    }
}

impl Measured for ReadRequest {
    fn operation(&self) -> Option<Operation> {
        match self {
            Self::GetSession { .. } => Some(Operation::GetSession),
            Self::GetLabels { .. } => Some(Operation::GetLabels),
            Self::ListSessions(_) => Some(Operation::ListSessions),
            Self::ListEvents(_) => Some(Operation::ListEvents),
            Self::FindSessions(_)
            | Self::WouldPrune(_)
            | Self::OldestOfNewest { .. }
            | Self::FindMessages { .. }
            | Self::TryCompaction(_)
            | Self::Check(_)
            | Self::Scan(_)
            | Self::Measure => None,
        }
    }

    fn session_id(&self) -> Option<Cow<'_, str>> {
        match self {
            Self::GetSession { id } | Self::GetLabels { session_id: id } => Some(Cow::Borrowed(id)),
            Self::ListEvents(request) => Some(Cow::Borrowed(&request.list.session_id)),
            Self::OldestOfNewest { session_id, .. } | Self::FindMessages { session_id, .. } => {
                Some(Cow::Borrowed(session_id))
            }
            // They are of many sessions, or steps of jobs.
            Self::ListSessions(_)
            | Self::FindSessions(_)
            | Self::WouldPrune(_)
            | Self::TryCompaction(_)
            | Self::Check(_)
            | Self::Scan(_)
            | Self::Measure => None,
        }
    }
}

impl ReadRequest {
    /// The texts that the database compares with its own.
    fn texts(&self) -> Vec<&str> {
        match self {
            Self::GetSession { id }
            | Self::GetLabels { session_id: id }
            | Self::OldestOfNewest { session_id: id, .. }
            | Self::FindMessages { session_id: id, .. }
            | Self::TryCompaction(CompactionStep { session_id: id, .. }) => vec![id],
            Self::ListSessions(request) => {
                let mut texts = request.list.texts();
                if let Position::After(key) = &request.position {
                    texts.push(&key.id);
                }
                texts
            }
            Self::ListEvents(request) => request.list.texts(),
            Self::FindSessions(request) => request.texts(),
            Self::WouldPrune(step) => step.texts(),
            // What a check goes on after came from the database, and each session of a scan is answered for itself.
            Self::Measure | Self::Check(_) | Self::Scan(_) => Vec::new(),
        }
    }

    /// How much text it keeps in memory.
    fn text_bytes(&self) -> usize {
        let beside = match self {
            Self::ListEvents(request) => request.list.filter.method.as_ref().map_or(0, String::len),
            Self::Check(look) => look.text_bytes(),
            Self::Scan(scan) => scan.text_bytes(),
            _ => 0,
        };
        self.texts().into_iter().map(str::len).sum::<usize>() + beside
    }

    /// What an error says was being done; the name of the database follows.
    fn doing(&self) -> String {
        match self {
            Self::GetSession { id } => format!("reading session {} from", Quoted(id)),
            Self::GetLabels { session_id } => format!("reading the labels of session {} from", Quoted(session_id)),
            Self::ListSessions(_) => String::from("listing the sessions of"),
            Self::FindSessions(_) => String::from("looking for sessions in"),
            Self::WouldPrune(step) => format!(
                "looking at what pruning session {} would remove from",
                Quoted(&step.session_id)
            ),
            Self::OldestOfNewest { session_id, .. } => {
                format!("looking at the newest events of session {} in", Quoted(session_id))
            }
            Self::Check(look) => look.doing().to_owned(),
            Self::Scan(scan) => scan.doing().to_owned(),
            Self::ListEvents(request) => {
                format!(
                    "reading the events of session {} from",
                    Quoted(&request.list.session_id)
                )
            }
            Self::FindMessages { session_id, .. } | Self::TryCompaction(CompactionStep { session_id, .. }) => {
                format!("looking for what can be joined of session {} in", Quoted(session_id))
            }
            Self::Measure => String::from("measuring"),
        }
    }
}

/// What to do when an event's place, `(session_id, event_index)`, is taken by another event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum IndexConflict {
    /// Store the event at the index after the session's highest, and the driver's later ones after it ([`reassigned`]).
    #[default]
    Reassign,
    /// Refuse the event with the message that the SDK recognises (docs/sdk-contract.md, 6).
    Reject,
}
