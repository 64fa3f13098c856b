//! Makes one event of each run of events that are pieces of one streamed message, in turns that are over.

use serde::Serialize;

use super::sessions::each_session;
use super::turns::Turns;
use super::{Calls, Ended, Job};
use crate::store::ReadRequest;
use crate::store::answer::{Answer, JobAnswer};
use crate::store::compaction::{CompactionStep, FoundMessages, LastEvent, Start, StepDone};
use crate::store::find::SessionConditions;
use crate::store::mode::Mode;
use crate::store::model::SessionRecord;
use crate::store::single::SingleRequest;
use crate::store::transcript::TurnSearch;

/// What was done, or would be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Compacted {
    /// How many sessions have fewer events than before.
    pub sessions: u64,
    /// How many events were looked at.
    pub events: u64,
    /// How many of these are gone.
    pub removed: u64,
    /// How many bytes of JSON text are.
    pub bytes: u64,
}

/// Compacts one session.
#[derive(Debug)]
pub struct CompactSession {
    /// The session's id.
    pub session_id: String,
    /// Whether it is done, or only counted.
    pub mode: Mode,
}

impl Job for CompactSession {
    type Progress = Compacted;
    type Result = Compacted;

    fn run(&self, store: &dyn Calls<Compacted>) -> Result<Compacted, Ended> {
        let mut so_far = Compacted::default();
        compact(store, &self.session_id, self.mode, &mut so_far)?;
        Ok(so_far)
    }
}

/// Compacts all sessions that meet conditions, one after the other.
#[derive(Debug)]
pub struct CompactSessions {
    /// Which sessions.
    pub conditions: SessionConditions,
    /// Whether it is done, or only counted.
    pub mode: Mode,
}

impl Job for CompactSessions {
    type Progress = Compacted;
    type Result = Compacted;

    fn run(&self, store: &dyn Calls<Compacted>) -> Result<Compacted, Ended> {
        let mut so_far = Compacted::default();
        each_session(store, &self.conditions, |session_id| {
            compact(store, &session_id, self.mode, &mut so_far)
        })?;
        Ok(so_far)
    }
}

/// Compacts one session, step by step.
fn compact(store: &dyn Calls<Compacted>, session_id: &str, mode: Mode, so_far: &mut Compacted) -> Result<(), Ended> {
    let Some(end) = end_of_turns(store, session_id)? else {
        return Ok(());
    };
    let mut turns = Turns::default();
    let mut removed_any = false;
    let mut next = Some(Start::Index(i64::MIN));
    while let Some(start) = next {
        let step = CompactionStep {
            session_id: session_id.to_owned(),
            start,
            end: end.clone(),
        };
        turns.begin();
        let done = take(store, step, mode)?;
        if done.removed > 0 && !removed_any {
            removed_any = true;
            so_far.sessions += 1;
        }
        so_far.events += done.events;
        so_far.removed += done.removed;
        so_far.bytes += done.bytes;
        store.progress(so_far)?;
        next = done.next;
        if next.is_some() && mode == Mode::Run {
            turns.end(done.took);
        }
    }
    Ok(())
}

fn take(store: &dyn Calls<Compacted>, step: CompactionStep, mode: Mode) -> Result<StepDone, Ended> {
    let answer = match mode {
        Mode::Run => store.write(SingleRequest::Compact(step).into())?,
        Mode::DryRun => store.read(ReadRequest::TryCompaction(step))?,
    };
    match answer {
        Answer::OfJob(JobAnswer::Compacted(done)) => Ok(done),
        answer => Err(Ended::unexpected(&answer)),
    }
}

/// The last event that belongs to a turn that is over: in a session that was destroyed all turns are.
fn end_of_turns(store: &dyn Calls<Compacted>, session_id: &str) -> Result<Option<LastEvent>, Ended> {
    let mut found = find_messages(store, session_id, None)?;
    // Asked for later than the newest event, so that this one is of no turn that has begun since.
    if found.newest.is_none() || is_destroyed(store, session_id)? {
        return Ok(found.newest);
    }
    let mut search = TurnSearch::default();
    loop {
        for message in found.messages {
            if let Some((index, id)) = search.push(message) {
                return Ok(Some(LastEvent { index, id }));
            }
        }
        if found.oldest.is_none() {
            return Ok(None);
        }
        found = find_messages(store, session_id, found.oldest)?;
    }
}

fn find_messages(store: &dyn Calls<Compacted>, session_id: &str, below: Option<i64>) -> Result<FoundMessages, Ended> {
    let request = ReadRequest::FindMessages {
        session_id: session_id.to_owned(),
        below,
    };
    match store.read(request)? {
        Answer::OfJob(JobAnswer::Messages(found)) => Ok(*found),
        answer => Err(Ended::unexpected(&answer)),
    }
}

fn is_destroyed(store: &dyn Calls<Compacted>, session_id: &str) -> Result<bool, Ended> {
    let request = ReadRequest::GetSession {
        id: session_id.to_owned(),
    };
    match store.read(request)? {
        Answer::Absent => Ok(false),
        Answer::Json(record) => Ok(SessionRecord::parse(&record)?.destroyed_at.is_some()),
        answer => Err(Ended::unexpected(&answer)),
    }
}
