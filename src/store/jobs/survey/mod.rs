//! Goes through all sessions and events once, and says how many there are, which are the largest, and of which days and kinds.
//!
//! The store reads while another thread counts what was read before (`counts`).

mod counts;

pub use counts::{CountedKind, DAY, DayVolume, KindVolume, RecordSummary, SessionSize, Surveyed, Volume};

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use serde::Serialize;

use super::pages::Pages;
use super::{Calls, Ended, Job};
use crate::store::ReadRequest;
use crate::store::answer::{Answer, JobAnswer};
use crate::store::error::StoreError;
use crate::store::list::{Order, SessionFilter, SessionList};
use crate::store::model::SessionRecord;
use crate::store::page::items;
use crate::store::scan::{EventScan, Scan, Scanned, Start};
use counts::Counts;

/// Of how many sessions events are asked for at once.
const SESSIONS_AT_ONCE: usize = 500;

/// How many events are asked for at once.
const EVENTS_AT_ONCE: u32 = 2_000;

/// How many answers may wait to be counted.
const AHEAD: usize = 2;

/// See the module's description.
#[derive(Debug)]
pub struct Survey {
    /// Which sessions. Those without a record are counted where no filter asks for one.
    pub filter: SessionFilter,
    /// How many of the largest sessions are told.
    pub largest: usize,
}

/// How far a survey is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct SurveyProgress {
    /// How many sessions were read to their end.
    pub sessions: u64,
    /// How many events were read.
    pub events: u64,
    /// The bytes of their JSON text.
    pub bytes: u64,
}

/// A session that is to be counted.
struct Session {
    id: String,
    record: Option<RecordSummary>,
}

/// Events of a session.
struct Piece {
    /// The session, where these are its first ones. Others belong to the session of the piece before.
    begins: Option<Session>,
    events: Vec<String>,
}

impl Job for Survey {
    type Progress = SurveyProgress;
    type Result = Surveyed;

    fn run(&self, store: &dyn Calls<SurveyProgress>) -> Result<Surveyed, Ended> {
        thread::scope(|scope| {
            let (sender, pieces) = sync_channel(AHEAD);
            let counting = thread::Builder::new()
                .name(String::from("persist-survey"))
                .spawn_scoped(scope, || count(pieces, self.largest))
                .map_err(|error| StoreError::no_thread(&error))?;
            let mut reading = Reading {
                store,
                sender,
                so_far: SurveyProgress::default(),
            };
            let read = reading.all(&self.filter);
            drop(reading);
            let counted = counting.join();
            read?;
            counted.map_err(|_| StoreError::internal("counting events failed").into())
        })
    }
}

fn count(pieces: Receiver<Vec<Piece>>, largest: usize) -> Surveyed {
    let mut counts = Counts::new(largest);
    for Piece { begins, events } in pieces.into_iter().flatten() {
        if let Some(Session { id, record }) = begins {
            counts.begin(id, record);
        }
        for event in &events {
            counts.add(event);
        }
    }
    counts.finish()
}

/// Reads the store for those who count.
struct Reading<'a> {
    store: &'a dyn Calls<SurveyProgress>,
    sender: SyncSender<Vec<Piece>>,
    so_far: SurveyProgress,
}

impl Reading<'_> {
    fn all(&mut self, filter: &SessionFilter) -> Result<(), Ended> {
        let mut pages = Pages::of(SessionList {
            filter: filter.clone(),
            order: Order::Ascending,
        });
        while let Some(page) = pages.next(self.store)? {
            let sessions = items(&page)?.into_iter().map(session);
            self.events_of(sessions.collect::<Result<_, StoreError>>()?)?;
        }
        if *filter == SessionFilter::default() {
            self.without_record()?;
        }
        Ok(())
    }

    fn without_record(&mut self) -> Result<(), Ended> {
        let mut after = None;
        loop {
            let Scanned::Unrecorded(page) = self.scan(Scan::Unrecorded(after))? else {
                return Err(unexpected());
            };
            let sessions = page.ids.into_iter().map(|id| Session { id, record: None });
            self.events_of(sessions.collect())?;
            if page.next.is_none() {
                return Ok(());
            }
            after = page.next;
        }
    }

    fn events_of(&mut self, mut sessions: VecDeque<Session>) -> Result<(), Ended> {
        while !sessions.is_empty() {
            let rest = sessions.split_off(sessions.len().min(SESSIONS_AT_ONCE));
            self.events_of_some(sessions)?;
            sessions = rest;
        }
        Ok(())
    }

    /// Reads the events of so many sessions as the store can be asked for at once.
    fn events_of_some(&mut self, mut sessions: VecDeque<Session>) -> Result<(), Ended> {
        let mut starts: Vec<Start> = sessions.iter().map(|session| first(&session.id)).collect();
        // Whether the first of them was begun.
        let mut is_begun = false;
        while !starts.is_empty() {
            let scan = EventScan {
                starts: starts.clone(),
                most_events: EVENTS_AT_ONCE,
            };
            let Scanned::Events(runs) = self.scan(Scan::Events(scan))? else {
                return Err(unexpected());
            };
            let mut pieces = Vec::with_capacity(runs.len());
            let mut ended = 0;
            for (run, start) in runs.into_iter().zip(&mut starts) {
                self.so_far.events += run.events.len() as u64;
                self.so_far.bytes += run.events.iter().map(|event| event.len() as u64).sum::<u64>();
                let begins = if is_begun { None } else { sessions.pop_front() };
                is_begun = run.is_more;
                if run.is_more {
                    start.after = run.last.unwrap_or(start.after);
                } else {
                    ended += 1;
                }
                let events = run.events;
                pieces.push(Piece { begins, events });
            }
            starts.drain(..ended);
            self.so_far.sessions += ended as u64;
            // Whoever counts ends before only by a mistake of ours, which is told of then.
            self.sender.send(pieces).map_err(|_| Ended::Stopped)?;
            self.store.progress(&self.so_far)?;
        }
        Ok(())
    }

    fn scan(&self, scan: Scan) -> Result<Scanned, Ended> {
        match self.store.read(ReadRequest::Scan(scan))? {
            Answer::OfJob(JobAnswer::Scanned(scanned)) => Ok(scanned),
            answer => Err(Ended::unexpected(&answer)),
        }
    }
}

fn session(record: &str) -> Result<Session, StoreError> {
    let record = SessionRecord::parse(record)?;
    Ok(Session {
        id: record.id.into_owned(),
        record: Some(RecordSummary {
            agent: record.agent.into_owned(),
            created_at: record.created_at,
            destroyed_at: record.destroyed_at,
        }),
    })
}

fn first(id: &str) -> Start {
    Start {
        session_id: id.to_owned(),
        after: i64::MIN,
    }
}

fn unexpected() -> Ended {
    StoreError::internal("a scan was answered with another one").into()
}
