//! What waits to be written: a queue for each session, and lists of the sessions whose turn may come. `batches` takes its
//! batches from here.
//!
//! Writes of all sessions share a batch, but for sessions that are in the way of others. A session whose events meet those
//! of other writers is contested, and has batches of its own. When a shared batch meets a locked row, its sessions are
//! suspects: they are tried in smaller and smaller groups, until those with a lock on them are alone. These are tried again
//! now and then, and their writes wait here, so that they hold no connection meanwhile. A write that is a transaction of its
//! own has a turn of its own when it is the first of its session.

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use tokio::time::Instant;

use super::single::Tried;
use crate::store::backlog::Admitted;
use crate::store::commit::MAX_BATCH_BYTES;
use crate::store::single::SingleRequest;
use crate::store::write::{RowRequest, SessionWrite};

/// How many groups suspects are divided into. More groups need fewer rounds, and more statements.
const GROUPS: usize = 8;

/// How long a session with a lock on it is left alone after it was found locked; then twice as long each time.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// How long it is left alone at most, so that little time is lost once the lock is gone.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// How many contested sessions are remembered. One that is forgotten costs one shared batch that is refused.
const MAX_CONTESTED: usize = 10_000;

/// A record or an event that waits.
#[derive(Debug)]
pub(super) struct Waiting<T> {
    pub(super) session: Rc<str>,
    pub(super) request: Admitted<RowRequest>,
    pub(super) ticket: T,
    /// Once it has been tried: until when it is tried again.
    pub(super) deadline: Option<Instant>,
    /// The index that an event was given in place of a taken one by a try of which it is not known whether it stored it.
    pub(super) reassigned_to: Option<i64>,
}

/// A write that waits, and is a transaction of its own.
#[derive(Debug)]
pub(super) struct WaitingSingle<T> {
    pub(super) session: Rc<str>,
    pub(super) request: Admitted<SingleRequest>,
    pub(super) ticket: T,
    pub(super) called: Instant,
    /// Until when it is tried, once it has been.
    pub(super) deadline: Option<Instant>,
    pub(super) tried: RefCell<Tried>,
}

/// What waits in a session's queue.
#[derive(Debug)]
enum Queued<T> {
    Row(Waiting<T>),
    Single(Box<WaitingSingle<T>>),
}

impl<T> Queued<T> {
    fn deadline(&self) -> Option<Instant> {
        match self {
            Self::Row(waiting) => waiting.deadline,
            Self::Single(waiting) => waiting.deadline,
        }
    }
}

/// Which sessions a batch is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// All that get along.
    Shared,
    /// Some that may be locked.
    Suspects,
    /// One that others write to as well.
    Contested,
    /// One that was locked when it was last tried.
    Locked,
    /// One whose next write is a transaction of its own.
    Single,
}

/// What a turn commits.
#[derive(Debug)]
pub(super) enum Work<T> {
    Batch(Batch<T>),
    Single(Box<WaitingSingle<T>>),
}

/// Writes that are taken to be committed together. Their sessions have no other turn until [`SessionQueues::put_back`].
#[derive(Debug)]
pub(super) struct Batch<T> {
    /// Each session once.
    pub(super) sessions: Vec<Rc<str>>,
    pub(super) writes: Vec<Waiting<T>>,
    pub(super) concurrency: Concurrency,
}

/// How a batch is kept apart from what others write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Concurrency {
    /// All is inserted as if nobody else wrote, and undone where somebody does.
    Optimistic,
    /// The batch is one contested session, whose other writers are kept out first.
    Pessimistic,
}

/// Why a write is not settled yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Obstacle {
    /// Others write to its session as well.
    Contested,
    /// A row of one of the batch's sessions is locked.
    Locked,
    /// The server did not answer until the time of an earlier write was over. This one has more.
    Away,
}

struct Session<T> {
    waiting: VecDeque<Queued<T>>,
    /// The last pause, if it was locked when it was last tried alone.
    pause: Option<Duration>,
}

/// See the module's description. Each session is in one of the lists, or in a batch that is being committed.
pub(super) struct SessionQueues<T> {
    sessions: HashMap<Rc<str>, Session<T>>,
    shared: VecDeque<Rc<str>>,
    suspects: VecDeque<Vec<Rc<str>>>,
    contested: VecDeque<Rc<str>>,
    singles: VecDeque<Rc<str>>,
    /// By when they are to be tried again.
    locked: BTreeSet<(Instant, Rc<str>)>,
    /// Sessions that others wrote to as well when they were last written, whether something waits for them or not.
    known_contested: HashSet<Rc<str>>,
}

impl<T> SessionQueues<T> {
    pub(super) fn new() -> Self {
        Self {
            sessions: HashMap::new(),
            shared: VecDeque::new(),
            suspects: VecDeque::new(),
            contested: VecDeque::new(),
            singles: VecDeque::new(),
            locked: BTreeSet::new(),
            known_contested: HashSet::new(),
        }
    }

    /// Whether nothing waits and nothing is being committed.
    pub(super) fn is_empty(&self) -> bool {
        self.sessions.is_empty()
    }

    /// Whether something of this session waits or is being committed.
    pub(super) fn has(&self, session_id: &str) -> bool {
        self.sessions.contains_key(session_id)
    }

    /// Whether there are sessions that may have a turn beside the shared batches as soon as something is pushed.
    pub(super) fn knows_contested(&self) -> bool {
        !self.known_contested.is_empty()
    }

    /// Whether a session waits for a turn beside the shared batches; one that is locked has none before `next_locked`.
    pub(super) fn waits_beside(&self, next_locked: Instant) -> bool {
        let now = Instant::now();
        !self.suspects.is_empty()
            || !self.contested.is_empty()
            || !self.singles.is_empty()
            || (now >= next_locked && self.next_locked().is_some_and(|due| due <= now))
    }

    /// When the next locked session is to be tried.
    pub(super) fn next_locked(&self) -> Option<Instant> {
        self.locked.first().map(|(due, _)| *due)
    }

    /// Puts a write at the end of its session's queue.
    pub(super) fn push(&mut self, request: SessionWrite, ticket: T) {
        let (id, is_new) = {
            let id = match &request {
                SessionWrite::Row(request) => request.session_id(),
                SessionWrite::Single(request) => Cow::Borrowed(request.session_id()),
            };
            match self.sessions.get_key_value(&*id) {
                Some((known, _)) => (Rc::clone(known), false),
                None => (Rc::from(&*id), true),
            }
        };
        let session = Rc::clone(&id);
        self.session(&id).waiting.push_back(match request {
            SessionWrite::Row(request) => Queued::Row(Waiting {
                session,
                request,
                ticket,
                deadline: None,
                reassigned_to: None,
            }),
            SessionWrite::Single(request) => Queued::Single(Box::new(WaitingSingle {
                session,
                request,
                ticket,
                called: Instant::now(),
                deadline: None,
                tried: RefCell::default(),
            })),
        });
        if is_new {
            self.list(id);
        }
    }

    /// Takes what a turn of this kind is to commit, if it is any session's.
    pub(super) fn take(&mut self, turn: Turn, deadline: Instant) -> Option<Work<T>> {
        let mut batch = Batch {
            sessions: Vec::new(),
            writes: Vec::new(),
            concurrency: Concurrency::Optimistic,
        };
        let mut room = MAX_BATCH_BYTES;
        match turn {
            Turn::Shared => {
                while let Some(id) = self.shared.pop_front() {
                    if !self.move_to(&mut batch, &id, &mut room, deadline) {
                        self.shared.push_front(id);
                        break;
                    }
                }
            }
            Turn::Suspects => {
                let group = self.suspects.pop_front()?;
                let mut rest = Vec::new();
                for id in group {
                    if !rest.is_empty() || !self.move_to(&mut batch, &id, &mut room, deadline) {
                        rest.push(id);
                    }
                }
                if !rest.is_empty() {
                    self.suspects.push_front(rest);
                }
            }
            Turn::Contested => {
                let id = self.contested.pop_front()?;
                self.move_to(&mut batch, &id, &mut room, deadline);
                batch.concurrency = Concurrency::Pessimistic;
            }
            Turn::Locked => {
                if self.next_locked().is_none_or(|due| due > Instant::now()) {
                    return None;
                }
                let (_, id) = self.locked.pop_first()?;
                if let Some(single) = self.take_single(&id, deadline) {
                    return Some(Work::Single(single));
                }
                self.move_to(&mut batch, &id, &mut room, deadline);
                if self.known_contested.contains(&id) {
                    batch.concurrency = Concurrency::Pessimistic;
                }
            }
            Turn::Single => {
                let id = self.singles.pop_front()?;
                return self.take_single(&id, deadline).map(|single| Work::Single(single));
            }
        }
        (!batch.writes.is_empty()).then_some(Work::Batch(batch))
    }

    /// Takes a session's first write if it is a transaction of its own.
    fn take_single(&mut self, id: &Rc<str>, deadline: Instant) -> Option<Box<WaitingSingle<T>>> {
        let waiting = &mut self.sessions.get_mut(id)?.waiting;
        match waiting.pop_front()? {
            Queued::Single(mut single) => {
                single.deadline.get_or_insert(deadline);
                Some(single)
            }
            row @ Queued::Row(_) => {
                waiting.push_front(row);
                None
            }
        }
    }

    /// Moves a session's records and events to the batch, as many as there is room for, and up to the first write that is a
    /// transaction of its own; false if there is no room for its first one.
    fn move_to(&mut self, batch: &mut Batch<T>, id: &Rc<str>, room: &mut usize, deadline: Instant) -> bool {
        let Some(session) = self.sessions.get_mut(id) else {
            return true;
        };
        let before = batch.writes.len();
        while let Some(next) = session.waiting.pop_front() {
            match next {
                Queued::Row(mut waiting) if waiting.request.bytes() <= *room || batch.writes.is_empty() => {
                    *room = room.saturating_sub(waiting.request.bytes());
                    waiting.deadline.get_or_insert(deadline);
                    batch.writes.push(waiting);
                }
                next => {
                    session.waiting.push_front(next);
                    break;
                }
            }
        }
        if batch.writes.len() == before {
            return false;
        }
        batch.sessions.push(Rc::clone(id));
        true
    }

    /// Ends a batch: puts back what is not settled, each write before those that were called after it, and gives the
    /// sessions for which something waits their next turn. `contested` are those that others write to.
    pub(super) fn put_back(
        &mut self,
        sessions: Vec<Rc<str>>,
        left: Vec<(Waiting<T>, Obstacle)>,
        contested: &HashSet<String>,
    ) {
        let mut locked = HashSet::new();
        for (waiting, obstacle) in left.into_iter().rev() {
            if obstacle == Obstacle::Locked {
                locked.insert(Rc::clone(&waiting.session));
            }
            let id = Rc::clone(&waiting.session);
            self.session(&id).waiting.push_front(Queued::Row(waiting));
        }
        let mut suspects = Vec::new();
        for id in sessions {
            if contested.contains(&*id) {
                self.remember_contested(&id);
            } else {
                self.known_contested.remove(&id);
            }
            let Some(session) = self.sessions.get_mut(&id) else {
                continue;
            };
            if locked.contains(&id) {
                suspects.push(id);
            } else {
                session.pause = None;
                self.list(id);
            }
        }
        self.list_locked(suspects);
    }

    /// Ends the turn of a write that was a transaction of its own, and is settled.
    pub(super) fn end_single(&mut self, session: Rc<str>) {
        if let Some(waiting) = self.sessions.get_mut(&session) {
            waiting.pause = None;
        }
        self.list(session);
    }

    /// The same for one that is not settled, since a row is locked.
    pub(super) fn put_back_single(&mut self, single: Box<WaitingSingle<T>>) {
        let id = Rc::clone(&single.session);
        self.session(&id).waiting.push_front(Queued::Single(single));
        self.list_locked(vec![id]);
    }

    /// The session's queue: a new one if nothing waits for it yet.
    fn session(&mut self, id: &Rc<str>) -> &mut Session<T> {
        self.sessions.entry(Rc::clone(id)).or_insert_with(|| Session {
            waiting: VecDeque::new(),
            pause: None,
        })
    }

    /// Gives a session that is not locked its next turn; it is forgotten if nothing waits for it.
    fn list(&mut self, id: Rc<str>) {
        let Some(session) = self.sessions.get(&id) else {
            return;
        };
        match session.waiting.front() {
            None => {
                self.sessions.remove(&id);
                return;
            }
            Some(Queued::Single(_)) => return self.singles.push_back(id),
            Some(Queued::Row(_)) => {}
        }
        if self.known_contested.contains(&id) {
            self.contested.push_back(id);
        } else {
            self.shared.push_back(id);
        }
    }

    /// One session that was locked is; of several, nobody knows which.
    fn list_locked(&mut self, mut sessions: Vec<Rc<str>>) {
        if sessions.len() > 1 {
            let size = sessions.len().div_ceil(GROUPS);
            while !sessions.is_empty() {
                let rest = sessions.split_off(size.min(sessions.len()));
                self.suspects.push_back(std::mem::replace(&mut sessions, rest));
            }
            return;
        }
        for id in sessions {
            let Some(session) = self.sessions.get_mut(&id) else {
                continue;
            };
            let pause = session.pause.map_or(FIRST_PAUSE, |last| (last * 2).min(LONGEST_PAUSE));
            session.pause = Some(pause);
            // Its last try is when the time of its first write is over.
            let deadline = session.waiting.front().and_then(Queued::deadline);
            let due = Instant::now() + pause;
            self.locked
                .insert((deadline.map_or(due, |deadline| due.min(deadline)), id));
        }
    }

    /// Forgets that others wrote to a session.
    pub(super) fn forget_contested(&mut self, session_id: &str) {
        self.known_contested.remove(session_id);
    }

    fn remember_contested(&mut self, id: &Rc<str>) {
        if self.known_contested.len() >= MAX_CONTESTED
            && !self.known_contested.contains(id)
            && let Some(any) = self.known_contested.iter().next().cloned()
        {
            self.known_contested.remove(&any);
        }
        self.known_contested.insert(Rc::clone(id));
    }
}
