//! Sessions on their way from JavaScript to the thread of a copy. There is one thing on its way at a time: whoever hands it over is
//! answered when it is taken, and reads the next meanwhile. So neither side gets far ahead of the other, and the event loop waits
//! for nothing.

use std::mem;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::promises::Ticket;
use crate::store::error::StoreError;
use crate::store::jobs::Ended;
use crate::store::jobs::copy::{NoEvents, Source, SourceSession};
use crate::store::model::{SessionEvent, SessionRecord};
use crate::store::{Answer, Deliver};

/// Where one side puts what the other takes.
pub(super) struct Handover {
    state: Mutex<State>,
    changed: Condvar,
    deliver: Deliver<Ticket>,
}

/// What is handed over.
pub(super) enum Handed {
    /// The next session.
    Session(SourceSession),
    /// The next events of the session before, by ascending index.
    Events(Vec<String>),
    /// There are no more sessions.
    End,
}

enum State {
    Empty,
    /// Handed over, by whoever has the ticket.
    Full(Handed, Ticket),
    /// All sessions were taken.
    Finished,
    /// Nobody wants it to go on.
    Ended,
    /// The driver that is copied into was closed.
    Closed,
}

/// The side that takes: a source of sessions.
pub(super) struct HandedSessions {
    handover: Arc<Handover>,
    /// The session that was given last.
    session_id: String,
}

impl Handover {
    pub(super) fn new(deliver: Deliver<Ticket>) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::new(State::Empty),
            changed: Condvar::new(),
            deliver,
        })
    }

    pub(super) fn source(self: Arc<Self>) -> HandedSessions {
        HandedSessions {
            handover: self,
            session_id: String::new(),
        }
    }

    /// Hands over. Whoever has the ticket is answered when it is taken, or when nobody will take it; then the next may come.
    pub(super) fn hand(&self, handed: Handed, ticket: Ticket) {
        let mut state = self.state();
        match *state {
            State::Empty => {
                *state = State::Full(handed, ticket);
                self.changed.notify_one();
            }
            State::Finished | State::Ended | State::Closed => {
                drop(state);
                self.answer(ticket, Ok(Answer::Done));
            }
            State::Full(..) => {
                drop(state);
                self.answer(
                    ticket,
                    Err(StoreError::internal("two things were handed to a copy at once")),
                );
            }
        }
    }

    /// Ends the source: whoever waits for it is told so, and so is whoever waits to be taken from.
    pub(super) fn end(&self) {
        self.come_to(State::Ended);
    }

    /// The driver that is copied into is closed. A source that says nothing more would keep the copy waiting, which learns of it
    /// here.
    pub(super) fn close(&self) {
        self.come_to(State::Closed);
    }

    fn come_to(&self, end: State) {
        let before = {
            let mut state = self.state();
            if matches!(*state, State::Ended | State::Closed) {
                return;
            }
            mem::replace(&mut *state, end)
        };
        self.changed.notify_one();
        if let State::Full(_, ticket) = before {
            self.answer(ticket, Ok(Answer::Done));
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No code under this lock can leave the state half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answer(&self, ticket: Ticket, answer: Result<Answer, StoreError>) {
        (self.deliver)(vec![(ticket, answer)]);
    }

    /// Waits until something is handed over, or nothing will be.
    fn wait(&self) -> Result<MutexGuard<'_, State>, Ended> {
        let mut state = self.state();
        loop {
            match *state {
                State::Empty => state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
                State::Full(..) | State::Finished => return Ok(state),
                State::Ended => return Err(Ended::Stopped),
                State::Closed => return Err(StoreError::closed().into()),
            }
        }
    }

    /// Waits for what is handed over next, and says whether these are events.
    fn has_events(&self) -> Result<bool, Ended> {
        Ok(matches!(*self.wait()?, State::Full(Handed::Events(_), _)))
    }

    /// Waits for what is handed over next, and takes it.
    fn take(&self) -> Result<Option<Handed>, Ended> {
        let mut state = self.wait()?;
        let State::Full(handed, ticket) = mem::replace(&mut *state, State::Empty) else {
            *state = State::Finished;
            return Ok(None);
        };
        if matches!(handed, Handed::End) {
            *state = State::Finished;
        }
        drop(state);
        self.answer(ticket, Ok(Answer::Done));
        Ok(Some(handed))
    }
}

impl Source for HandedSessions {
    fn next_session(&mut self) -> Result<Option<SourceSession>, Ended> {
        loop {
            match self.handover.take()? {
                Some(Handed::Session(session)) => {
                    self.session_id.clone_from(&session.id);
                    return Ok(Some(as_stored(session)));
                }
                Some(Handed::Events(_)) => {}
                Some(Handed::End) | None => return Ok(None),
            }
        }
    }

    fn has_events(&mut self) -> Result<bool, NoEvents> {
        Ok(self.handover.has_events()?)
    }

    fn next_events(&mut self) -> Result<Vec<String>, NoEvents> {
        if !self.handover.has_events()? {
            return Ok(Vec::new());
        }
        match self.handover.take()? {
            Some(Handed::Events(events)) => Ok(events
                .into_iter()
                .map(|text| event_as_stored(&self.session_id, text))
                .collect()),
            _ => Ok(Vec::new()),
        }
    }
}

/// With the record as a store writes it. One that is wrong stays as it is: the store refuses it.
fn as_stored(session: SourceSession) -> SourceSession {
    let record = session.record.map(|text| {
        let mut written = String::with_capacity(text.len());
        match SessionRecord::parse(&text) {
            Ok(record) => record.write_json(&mut written),
            Err(_) => return text,
        }
        written
    });
    SourceSession { record, ..session }
}

/// The same for an event.
fn event_as_stored(session_id: &str, text: String) -> String {
    let mut written = String::with_capacity(text.len());
    match SessionEvent::parse(session_id, &text) {
        Ok(event) => event.write_json(&mut written),
        Err(_) => return text,
    }
    written
}

impl Drop for HandedSessions {
    /// The copy is over: whoever still hands over waits for nobody.
    fn drop(&mut self) {
        self.handover.end();
    }
}
