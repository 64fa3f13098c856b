//! Followers of sessions, as far as both backends have the same: how far each has come, what has to be asked of the
//! database, and who gets what was found. A backend's store holds [`Followers`], and has the threads and the SQL.
//!
//! A backend tells what it knows ([`Followers::written`], [`Followers::changed`], [`Followers::ended`]), asks the database
//! what [`Followers::look`] says, and hands in what came of it ([`Followers::found`], [`Followers::failed`]). Followers of
//! a session at the same position share one question and one text. A follower that does not wait costs its position alone:
//! nothing is read for it.

mod events;
mod follower;
mod moment;
mod progress;

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

pub use events::{Ask, Events, MAX_EVENTS};
pub use moment::Moment;
pub use progress::BEFORE_ALL;

use super::answer::{Answer, Completion};
use super::error::StoreError;
use follower::{Follower, Stage};
use progress::PATIENCE;

/// A follower of a store, by the number that its caller gave it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FollowerId(pub u64);

/// What is to be asked of the database now.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Look {
    /// The events that are asked for, each once.
    pub asks: Vec<Ask>,
    /// The sessions that others may have deleted, each once: those that have a tombstone are to be told with
    /// [`Followers::ended`].
    pub sessions: Vec<Arc<str>>,
    /// Whether that is about all that is followed, since anything may have been written.
    pub is_of_all: bool,
}

impl Look {
    /// Whether nothing is to be asked.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.asks.is_empty() && self.sessions.is_empty()
    }
}

/// The followers of one store. `T` is the ticket of one that waits.
#[derive(Debug)]
pub struct Followers<T> {
    by_id: HashMap<FollowerId, Follower<T>>,
    sessions: HashMap<Arc<str>, HashSet<FollowerId>>,
    /// How many wait.
    waiting: usize,
    /// The sessions that were written to since the last look.
    written: HashSet<Arc<str>>,
    /// Whether anything may have been written since.
    changed: bool,
    /// Those that wait, and that something new may be there for.
    to_ask: HashSet<FollowerId>,
    /// Those that wait, and that read what was stored long before. A few a look, so that the others need not wait for them.
    to_read: VecDeque<FollowerId>,
    /// When one must be asked for again, though nothing is written.
    due: BTreeSet<(Instant, FollowerId)>,
    /// The sessions that were not followed before.
    new_sessions: HashSet<Arc<str>>,
    /// How long a gap is waited for.
    patience: Duration,
}

impl<T> Default for Followers<T> {
    fn default() -> Self {
        Self {
            by_id: HashMap::new(),
            sessions: HashMap::new(),
            waiting: 0,
            written: HashSet::new(),
            changed: false,
            to_ask: HashSet::new(),
            to_read: VecDeque::new(),
            due: BTreeSet::new(),
            new_sessions: HashSet::new(),
            patience: PATIENCE,
        }
    }
}

impl<T> Followers<T> {
    /// Adds a follower that is given the session's events after index `after`.
    pub fn follow(&mut self, id: FollowerId, session_id: &str, after: i64) {
        let known = self.sessions.get_key_value(session_id);
        let session_id = known.map_or_else(|| session_id.into(), |(session_id, _)| Arc::clone(session_id));
        if !self.sessions.contains_key(&session_id) {
            self.new_sessions.insert(Arc::clone(&session_id));
        }
        self.sessions.entry(Arc::clone(&session_id)).or_default().insert(id);
        self.by_id.insert(id, Follower::new(session_id, after));
    }

    /// The follower waits for events. Comes back with what is answered at once: a follower that has ended gets nothing more.
    #[must_use]
    pub fn next(&mut self, id: FollowerId, ticket: T) -> Option<Completion<T>> {
        let Some(follower) = self.by_id.get_mut(&id) else {
            return Some((ticket, Ok(Answer::Done)));
        };
        match follower.stage {
            Stage::Behind if follower.in_line => {}
            Stage::Behind => {
                follower.in_line = true;
                self.to_read.push_back(id);
            }
            Stage::Stale => drop(self.to_ask.insert(id)),
            Stage::Current => {}
        }
        // Callers wait for one answer before they ask again.
        let earlier = follower.ticket.replace(ticket);
        self.waiting += usize::from(earlier.is_none());
        earlier.map(|earlier| (earlier, Ok(Answer::Done)))
    }

    /// Forgets the follower. Comes back with the answer for it, if it waits.
    #[must_use]
    pub fn unfollow(&mut self, id: FollowerId) -> Option<Completion<T>> {
        self.end(id).map(|ticket| (ticket, Ok(Answer::Done)))
    }

    /// This driver has stored events of the session.
    pub fn written(&mut self, session_id: &str) {
        if let Some((session_id, _)) = self.sessions.get_key_value(session_id) {
            self.written.insert(Arc::clone(session_id));
        }
    }

    /// Somebody may have stored events of any session, or deleted it.
    pub fn changed(&mut self) {
        self.changed = true;
    }

    /// All writes are done, and the store closes: those that wait are to be given what is stored, whatever is missing before it.
    pub fn finish(&mut self) {
        self.changed = true;
        self.patience = Duration::ZERO;
    }

    /// The session was deleted: its followers have nothing more to come.
    #[must_use]
    pub fn ended(&mut self, session_id: &str) -> Vec<Completion<T>> {
        let ids = self.sessions.get(session_id).cloned().unwrap_or_default();
        let tickets = ids.into_iter().filter_map(|id| self.end(id));
        tickets.map(|ticket| (ticket, Ok(Answer::Done))).collect()
    }

    /// The store is closed: nobody has anything more to come.
    #[must_use]
    pub fn close(&mut self) -> Vec<Completion<T>> {
        let followers = std::mem::take(self).by_id.into_values();
        let tickets = followers.filter_map(|follower| follower.ticket);
        tickets.map(|ticket| (ticket, Ok(Answer::Done))).collect()
    }

    /// Whether anybody follows.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// Whether anybody waits.
    #[must_use]
    pub fn wait(&self) -> bool {
        self.waiting > 0
    }

    /// Whether [`Self::look`] has something to ask before anything else happens, or time goes by.
    #[must_use]
    pub fn have_to_look(&self) -> bool {
        let news = self.changed || !self.written.is_empty();
        !self.to_ask.is_empty() || !self.to_read.is_empty() || (news && self.wait())
    }

    /// When [`Self::look`] has something to ask though nothing is written, if anybody waits for that.
    #[must_use]
    pub fn due(&self) -> Option<Instant> {
        self.due.first().map(|(due, _)| *due).filter(|_| self.wait())
    }

    /// What is to be asked of the database now, for at most `reading` followers that read what was stored long before and for
    /// all others that have to ask. What comes of it goes to [`Self::found`], ask by ask, before the next look.
    #[must_use]
    pub fn look(&mut self, now: Instant, reading: usize) -> Look {
        let mut sessions = std::mem::take(&mut self.new_sessions);
        let is_of_all = self.changed;
        if is_of_all {
            sessions.extend(self.sessions.keys().cloned());
        }
        self.spread_news();
        while let Some((_, id)) = self.due.first().copied().filter(|(due, _)| *due <= now) {
            self.due.pop_first();
            self.make_stale(id);
        }
        let mut asks = HashSet::new();
        for id in std::mem::take(&mut self.to_ask) {
            self.ask_for(id, now, &mut asks);
        }
        let mut left = reading;
        while left > 0
            && let Some(id) = self.to_read.pop_front()
        {
            if let Some(follower) = self.by_id.get_mut(&id) {
                follower.in_line = false;
            }
            left -= usize::from(self.ask_for(id, now, &mut asks));
        }
        Look {
            asks: asks.into_iter().collect(),
            sessions: sessions.into_iter().collect(),
            is_of_all,
        }
    }

    /// Gives what `ask` found to all who wait for it.
    #[must_use]
    pub fn found(&mut self, ask: &Ask, events: &Events, now: Moment) -> Vec<Completion<T>> {
        let mut answered = Vec::new();
        let mut text: Option<(usize, Arc<str>)> = None;
        for id in self.sessions.get(&ask.session_id).into_iter().flatten() {
            let Some(follower) = self.by_id.get_mut(id) else {
                continue;
            };
            let count = follower.take(ask, events, now, self.patience);
            if let Some((_, end)) = follower.progress.waits_at(now.instant, self.patience) {
                self.due.insert((end, *id));
            }
            if count == 0 {
                continue;
            }
            let shared = match &text {
                Some((shared, text)) if *shared == count => Arc::clone(text),
                _ => Arc::clone(&text.insert((count, events.first(count))).1),
            };
            if let Some(ticket) = follower.ticket.take() {
                self.waiting -= 1;
                answered.push((ticket, Ok(Answer::Events(shared))));
            }
        }
        answered
    }

    /// The database could not be asked: the followers that wait for the answer have ended.
    #[must_use]
    pub fn failed(&mut self, ask: &Ask, error: &StoreError) -> Vec<Completion<T>> {
        let ids = self.sessions.get(&ask.session_id).into_iter().flatten().copied();
        let concerned: Vec<_> = ids
            .filter(|id| self.by_id.get(id).is_some_and(|follower| follower.waits_for(ask)))
            .collect();
        self.fail(concerned, error)
    }

    /// Nothing can be asked: all followers that wait have ended.
    #[must_use]
    pub fn all_failed(&mut self, error: &StoreError) -> Vec<Completion<T>> {
        let waiting = self.by_id.iter().filter(|(_, follower)| follower.ticket.is_some());
        let waiting = waiting.map(|(id, _)| *id).collect();
        self.fail(waiting, error)
    }

    fn fail(&mut self, ids: Vec<FollowerId>, error: &StoreError) -> Vec<Completion<T>> {
        let tickets = ids.into_iter().filter_map(|id| self.end(id));
        tickets.map(|ticket| (ticket, Err(error.clone()))).collect()
    }

    fn end(&mut self, id: FollowerId) -> Option<T> {
        let follower = self.by_id.remove(&id)?;
        if let Some(ids) = self.sessions.get_mut(&follower.session_id) {
            ids.remove(&id);
            if ids.is_empty() {
                self.sessions.remove(&follower.session_id);
                self.new_sessions.remove(&follower.session_id);
            }
        }
        self.to_ask.remove(&id);
        self.waiting -= usize::from(follower.ticket.is_some());
        follower.ticket
    }

    /// Marks those that something new may be there for.
    fn spread_news(&mut self) {
        let written = std::mem::take(&mut self.written);
        let news: Vec<FollowerId> = if std::mem::take(&mut self.changed) {
            self.by_id.keys().copied().collect()
        } else {
            let ids = written.iter().filter_map(|session_id| self.sessions.get(session_id));
            ids.flatten().copied().collect()
        };
        for id in news {
            self.make_stale(id);
        }
    }

    fn make_stale(&mut self, id: FollowerId) {
        if let Some(follower) = self.by_id.get_mut(&id)
            && follower.stage != Stage::Behind
        {
            follower.stage = Stage::Stale;
            if follower.ticket.is_some() {
                self.to_ask.insert(id);
            }
        }
    }

    /// Adds what has to be asked for the follower; false if it does not wait.
    fn ask_for(&mut self, id: FollowerId, now: Instant, asks: &mut HashSet<Ask>) -> bool {
        let Some(follower) = self.by_id.get_mut(&id).filter(|follower| follower.ticket.is_some()) else {
            return false;
        };
        asks.insert(follower.ask(now, self.patience));
        match follower.progress.next_look() {
            Some(due) if due <= now => {
                asks.extend(follower.progress.passed().iter().map(|gap| follower.ask_within(*gap)));
                follower.progress.looks(now);
            }
            Some(due) => drop(self.due.insert((due, id))),
            None => {}
        }
        true
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
