//! Loads what the target lacks, one step while the next is compared, and reads it back. Where a step keeps nobody out there are two
//! under way, of different sessions.

use std::collections::VecDeque;
use std::mem;
use std::time::{Duration, Instant};

use super::checksum;
use super::compare::{Compared, End, Load};
use super::difference::{Difference, index_of};
use super::target::Target;
use super::{Copied, MOST_DIFFERENCES};
use crate::store::answer::{Answer, JobAnswer};
use crate::store::error::ErrorKind;
use crate::store::jobs::{Calls, Ended, Pending, turns};
use crate::store::load::{LoadStep, Loaded, PartResult, SessionPart, TakeBack, TakenBack};
use crate::store::upkeep::UpkeepRequest;

/// How many steps are under way at most.
const MOST_UNDER_WAY: usize = 2;

/// See the module's description.
#[derive(Default)]
pub(super) struct Loading {
    /// The oldest first.
    under_way: VecDeque<UnderWay>,
    /// Whether others could write during the last step.
    is_shared: bool,
    /// New sessions of which some events are stored, and not the last ones: one at most, unless nobody knows what is.
    half: Vec<TakeBack>,
    /// The session that goes on and is not to be loaded any more.
    refused: Option<String>,
    /// The events of the session that goes on, as they were read back.
    read_back: Option<checksum::Events>,
    /// What is being read back.
    stored: Target,
    copied: Copied,
    checksum: checksum::Sessions,
}

/// A step that is under way.
struct UnderWay {
    /// Nothing, where there is nothing to load.
    answer: Option<Pending>,
    began: Instant,
    /// Its sessions, and those between them that need nothing.
    sessions: Vec<Sent>,
    /// What is half loaded once it is done.
    half: Option<TakeBack>,
}

/// What a step was answered.
#[derive(Default)]
struct Answered {
    sessions: Vec<Sent>,
    /// What came of those that were to be loaded.
    parts: Vec<PartResult>,
}

/// What was sent of a session.
struct Sent {
    session_id: String,
    load: Option<SentLoad>,
    end: Option<End>,
}

struct SentLoad {
    before: Option<checksum::Events>,
    after: i64,
    events: usize,
}

impl Loading {
    /// Sends what is to be loaded of the next sessions, once a step before is stored; and reads that one back meanwhile.
    pub(super) fn load<P>(&mut self, store: &dyn Calls<P>, compared: Vec<Compared>) -> Result<(), Ended> {
        let mut stored = Vec::new();
        while self.is_busy() {
            stored.extend(self.settle(store)?);
        }
        self.send(store, compared)?;
        self.verify(store, stored)
    }

    /// The same, and waits until that is stored and read back: nothing else is in memory beside it.
    pub(super) fn load_alone<P>(&mut self, store: &dyn Calls<P>, compared: Vec<Compared>) -> Result<(), Ended> {
        self.complete(store)?;
        self.send(store, compared)?;
        self.complete(store)
    }

    /// Whether the next step must wait for one before it. What goes on in it is not to be stored first.
    fn is_busy(&self) -> bool {
        let goes_on = |step: &UnderWay| step.sessions.last().is_some_and(|sent| sent.end.is_none());
        let most = if self.is_shared { MOST_UNDER_WAY } else { 1 };
        self.under_way.len() >= most || self.under_way.back().is_some_and(goes_on)
    }

    /// Counts what would be loaded.
    pub(super) fn count(&mut self, compared: Vec<Compared>) {
        for Compared { load, end, .. } in compared {
            self.tell(load.is_some(), end);
        }
    }

    /// Waits for the last step, reads it back, and tells what was copied.
    pub(super) fn finish<P>(&mut self, store: &dyn Calls<P>) -> Result<(Copied, checksum::Sessions), Ended> {
        self.complete(store)?;
        Ok((mem::take(&mut self.copied), mem::take(&mut self.checksum)))
    }

    /// Waits for all steps, and reads them back.
    fn complete<P>(&mut self, store: &dyn Calls<P>) -> Result<(), Ended> {
        while !self.under_way.is_empty() {
            let stored = self.settle(store)?;
            self.verify(store, stored)?;
        }
        Ok(())
    }

    /// How many sessions are different so far.
    pub(super) fn different(&self) -> u64 {
        self.copied.different
    }

    /// Ends in the middle: what is half loaded of a new session does not stay.
    pub(super) fn give_up<P>(mut self, store: &dyn Calls<P>) -> Result<(), Ended> {
        // The step that is under way may make one whole. Why it fails, if it does, is not what ends the copy.
        while !self.under_way.is_empty() {
            let _ = self.answered();
        }
        let mut halves = self.half.iter();
        halves.try_for_each(|half| take_back(half, |request| store.clean_up(request)))
    }

    fn send<P>(&mut self, store: &dyn Calls<P>, compared: Vec<Compared>) -> Result<(), Ended> {
        let mut step = LoadStep::default();
        let mut half = None;
        let mut sessions = Vec::with_capacity(compared.len());
        for Compared { session_id, load, end } in compared {
            if self.refused.as_ref() == Some(&session_id) {
                continue;
            }
            self.refused = None;
            let load = load.map(|load| {
                half = self.half_after(&load);
                let Load {
                    part, before, after, ..
                } = load;
                let events = part.events.len();
                step.parts.push(part);
                SentLoad { before, after, events }
            });
            sessions.push(Sent { session_id, load, end });
        }
        let answer = if step.parts.is_empty() {
            None
        } else {
            Some(store.begin(UpkeepRequest::Load(step).into())?)
        };
        self.under_way.push_back(UnderWay {
            answer,
            began: Instant::now(),
            sessions,
            half,
        });
        Ok(())
    }

    /// What is to be taken back of a session once this is loaded and nothing follows.
    fn half_after(&self, load: &Load) -> Option<TakeBack> {
        if !load.is_new || load.part.end.is_some() {
            return None;
        }
        let SessionPart { session_id, events, .. } = &load.part;
        let through_index = events.last().and_then(|event| index_of(session_id, event))?;
        let goes_on = self.half.iter().find(|half| half.session_id == *session_id);
        Some(TakeBack {
            session_id: session_id.clone(),
            after_index: goes_on.map_or(load.after, |half| half.after_index),
            through_index,
        })
    }

    /// Waits for the oldest step that is under way, and gives back what it stored.
    fn settle<P>(&mut self, store: &dyn Calls<P>) -> Result<Vec<Sent>, Ended> {
        let Answered { mut sessions, parts } = self.answered()?;
        let with_parts = sessions.iter_mut().filter(|sent| sent.load.is_some());
        for (sent, result) in with_parts.zip(parts) {
            let Err(error) = result else { continue };
            if sent.end.is_none() {
                self.refused = Some(sent.session_id.clone());
            }
            sent.load = None;
            sent.end = Some(End::Different(Difference::refused(&sent.session_id, &error)));
        }
        let is_different = |sent: &&Sent| matches!(sent.end, Some(End::Different(_)));
        for sent in sessions.iter().filter(is_different) {
            if let Some(position) = self.half.iter().position(|half| half.session_id == sent.session_id) {
                take_back(&self.half[position], |request| store.write(request.into()))?;
                self.half.remove(position);
            }
        }
        Ok(sessions)
    }

    /// Waits for the oldest step that is under way, and notes what is half loaded now.
    fn answered(&mut self) -> Result<Answered, Ended> {
        let Some(under_way) = self.under_way.pop_front() else {
            return Ok(Answered::default());
        };
        let UnderWay {
            answer,
            began,
            sessions,
            half,
        } = under_way;
        let Some(answer) = answer else {
            return Ok(Answered {
                sessions,
                parts: Vec::new(),
            });
        };
        let Loaded { parts, took } = match answer.wait() {
            Ok(Answer::OfJob(JobAnswer::Loaded(loaded))) => loaded,
            ended => {
                // It may be stored all the same.
                if let Some(half) = half {
                    self.half.retain(|before| before.session_id != half.session_id);
                    self.half.push(half);
                }
                return Err(ended.map_or_else(Ended::Failed, |answer| Ended::unexpected(&answer)));
            }
        };
        let is_loaded = |half: &TakeBack| {
            sessions
                .iter()
                .any(|sent| sent.load.is_some() && sent.session_id == half.session_id)
        };
        let (before, mut now): (Vec<_>, Vec<_>) = mem::take(&mut self.half).into_iter().partition(is_loaded);
        now.extend(half);
        self.half = now;
        let with_parts = sessions.iter().filter(|sent| sent.load.is_some());
        for (sent, result) in with_parts.zip(&parts) {
            let Err(error) = result else { continue };
            self.half.retain(|half| half.session_id != sent.session_id);
            // What others have written since is not ours to remove.
            if !matches!(error.kind, ErrorKind::IndexConflict | ErrorKind::NotFound) {
                let ours = before.iter().filter(|half| half.session_id == sent.session_id);
                self.half.extend(ours.cloned());
            }
        }
        self.is_shared = took == Duration::ZERO;
        turns::leave_one(began.elapsed(), took);
        Ok(Answered { sessions, parts })
    }

    /// Reads back what was stored of these sessions.
    fn verify<P>(&mut self, store: &dyn Calls<P>, sessions: Vec<Sent>) -> Result<(), Ended> {
        let loaded = |sent: &Sent| {
            let load = sent.load.as_ref().filter(|load| load.events > 0)?;
            Some((sent.session_id.clone(), load.after))
        };
        let loads: Vec<(String, i64)> = sessions.iter().filter_map(loaded).collect();
        let mut loads = loads.iter().map(|(session_id, after)| (session_id.as_str(), *after));
        for Sent { session_id, load, end } in sessions {
            let is_loaded = load.is_some();
            if let Some(SentLoad { before, after, events }) = load
                && events > 0
            {
                loads.next();
                let mut read_back = before.or(self.read_back.take()).unwrap_or_default();
                for _ in 0..events {
                    let Some(event) = self.stored.next(store, (&session_id, after), loads.clone())? else {
                        break;
                    };
                    read_back.push(&event);
                }
                self.stored.forget(&session_id);
                self.read_back = Some(read_back);
            }
            let read_back = end.is_some().then(|| self.read_back.take()).flatten();
            let end = end.map(|end| end.after_reading_back(&session_id, read_back));
            if let Some(End::Same { sum, events, .. }) = &end {
                self.checksum.push(*sum, *events);
            }
            self.tell(is_loaded, end);
        }
        Ok(())
    }

    /// Counts a session that has come to its end.
    fn tell(&mut self, is_loaded: bool, end: Option<End>) {
        let copied = &mut self.copied;
        match end {
            None => {}
            Some(End::Same { stored, .. }) if is_loaded || stored.events > 0 => {
                copied.sessions += 1;
                copied.events += stored.events;
                copied.bytes += stored.bytes;
            }
            Some(End::Same { .. }) => copied.unchanged += 1,
            Some(End::Different(difference)) => {
                copied.different += 1;
                if copied.differences.len() < MOST_DIFFERENCES {
                    copied.differences.push(difference);
                }
            }
        }
    }
}

fn take_back(half: &TakeBack, call: impl Fn(UpkeepRequest) -> Result<Answer, Ended>) -> Result<(), Ended> {
    loop {
        let began = Instant::now();
        match call(UpkeepRequest::TakeBack(half.clone()))? {
            Answer::OfJob(JobAnswer::TakenBack(TakenBack { is_more, took, .. })) => {
                if !is_more {
                    return Ok(());
                }
                turns::leave_one(began.elapsed(), took);
            }
            answer => return Err(Ended::unexpected(&answer)),
        }
    }
}
