//! The followers of a store, and what their thread does next. The store's handle, its writer and that thread share it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::polls::Polls;
use crate::store::commit::Batch;
use crate::store::error::StoreError;
use crate::store::follow::{Ask, Events, FollowerId, Followers, Look, Moment};
use crate::store::{Answer, Completion};

/// How many followers read at once what was stored long before.
const READING_AT_ONCE: usize = 1;

/// See the module's description.
pub(super) struct Following<T> {
    state: Mutex<State<T>>,
    wakes: Condvar,
    /// Whether anybody ever followed: until then the writer has nothing to tell.
    used: AtomicBool,
}

struct State<T> {
    followers: Followers<T>,
    stage: Stage,
    polls: Polls,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// The database is not open yet.
    Opening,
    Open,
    /// All writes are done, and the store closes: those that wait get what is stored, and then nobody gets anything.
    Ending,
}

/// What the followers' thread does next.
pub(super) enum FollowTask {
    /// Ask the database for this.
    Look(Look),
    /// Ask it whether another process has written.
    Poll,
    /// Release everything and end.
    End,
}

impl<T> Following<T> {
    pub(super) fn new() -> Self {
        Self {
            state: Mutex::new(State {
                followers: Followers::default(),
                stage: Stage::Opening,
                polls: Polls::new(Instant::now()),
            }),
            wakes: Condvar::new(),
            used: AtomicBool::new(false),
        }
    }

    fn state(&self) -> MutexGuard<'_, State<T>> {
        // No code under this lock can leave the state half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn follow(&self, follower: FollowerId, session_id: &str, after: i64) {
        self.used.store(true, Ordering::Release);
        self.state().followers.follow(follower, session_id, after);
    }

    /// The follower waits. Comes back with what is answered at once.
    pub(super) fn next(&self, follower: FollowerId, ticket: T) -> Option<Completion<T>> {
        let mut state = self.state();
        if state.stage == Stage::Ending {
            return Some((ticket, Ok(Answer::Done)));
        }
        let nobody_waited = !state.followers.wait();
        let answered = state.followers.next(follower, ticket);
        let wake = nobody_waited || state.followers.have_to_look();
        drop(state);
        if wake {
            self.wakes.notify_one();
        }
        answered
    }

    pub(super) fn unfollow(&self, follower: FollowerId) -> Option<Completion<T>> {
        self.state().followers.unfollow(follower)
    }

    /// This driver begins to write a batch. Comes back with its sessions if anybody follows anything.
    pub(super) fn begins_to_write(&self, batch: &Batch<T>) -> Option<Vec<String>> {
        if !self.is_used() {
            return None;
        }
        let mut state = self.state();
        if state.followers.is_empty() {
            return None;
        }
        state.polls.own_write();
        drop(state);
        let mut sessions = batch.sessions_of_events();
        sessions.sort_unstable();
        sessions.dedup();
        Some(sessions.into_iter().map(str::to_owned).collect())
    }

    /// Whether anybody follows anything, or did.
    pub(super) fn is_used(&self) -> bool {
        self.used.load(Ordering::Acquire)
    }

    /// This driver has stored events of these sessions; of any, if nobody followed when it began to. `others`: whether
    /// another process has written since the last time.
    pub(super) fn written(&self, sessions: Option<&[String]>, others: bool) {
        let mut state = self.state();
        state.polls.own_write();
        if others {
            state.polls.others_wrote(Instant::now());
        }
        match sessions {
            Some(sessions) if !others => sessions.iter().for_each(|session| state.followers.written(session)),
            _ => state.followers.changed(),
        }
        let wake = state.followers.have_to_look();
        drop(state);
        if wake {
            self.wakes.notify_one();
        }
    }

    /// A poll told whether somebody has written since the last one, this driver included.
    pub(super) fn polled(&self, changed: bool) {
        let mut state = self.state();
        if state.polls.polled(changed, Instant::now()) {
            state.followers.changed();
        }
    }

    /// The session was deleted.
    #[must_use]
    pub(super) fn ended(&self, session_id: &str) -> Vec<Completion<T>> {
        self.state().followers.ended(session_id)
    }

    /// What a look has found.
    #[must_use]
    pub(super) fn found(&self, found: Vec<(Ask, Result<Events, StoreError>)>) -> Vec<Completion<T>> {
        let now = Moment::now();
        let mut state = self.state();
        let answers = found.into_iter().map(|(ask, found)| match found {
            Ok(events) => state.followers.found(&ask, &events, now),
            Err(error) => state.followers.failed(&ask, &error),
        });
        answers.collect::<Vec<_>>().into_iter().flatten().collect()
    }

    /// A look at all that is followed took so long: the next poll comes the later.
    pub(super) fn looked_at_all(&self, duration: Duration) {
        self.state().polls.looked_at_all(duration, Instant::now());
    }

    #[must_use]
    pub(super) fn all_failed(&self, error: &StoreError) -> Vec<Completion<T>> {
        self.state().followers.all_failed(error)
    }

    /// The database is open.
    pub(super) fn opened(&self) {
        self.state().stage = Stage::Open;
        self.wakes.notify_one();
    }

    /// All writes are done, and the store closes.
    pub(super) fn finish(&self) {
        let mut state = self.state();
        if state.stage != Stage::Ending {
            // What the writer stored last, or another process, is looked for once more.
            if state.stage == Stage::Open {
                state.followers.finish();
            }
            state.stage = Stage::Ending;
            drop(state);
            self.wakes.notify_one();
        }
    }

    /// Nothing is left to look at: those that still wait have nothing more to come.
    #[must_use]
    pub(super) fn close(&self) -> Vec<Completion<T>> {
        self.state().followers.close()
    }

    /// Waits for the thread's next task. `polls`: whether other processes may write.
    pub(super) fn next_task(&self, polls: bool) -> FollowTask {
        let mut state = self.state();
        loop {
            let now = Instant::now();
            let mut wake = None;
            if state.stage != Stage::Opening && state.followers.wait() {
                // First, since there may always be somebody who reads what was stored long before.
                if state.stage == Stage::Open && polls && state.polls.due() <= now {
                    return FollowTask::Poll;
                }
                if state.followers.have_to_look() || state.followers.due().is_some_and(|due| due <= now) {
                    let look = state.followers.look(now, READING_AT_ONCE);
                    if !look.is_empty() {
                        return FollowTask::Look(look);
                    }
                    continue;
                }
                if state.stage == Stage::Open {
                    wake = state.followers.due();
                    if polls {
                        wake = Some(wake.map_or(state.polls.due(), |due| due.min(state.polls.due())));
                    }
                }
            }
            if state.stage == Stage::Ending {
                return FollowTask::End;
            }
            state = match wake {
                None => self.wakes.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(end) => {
                    let left = end.saturating_duration_since(now);
                    let waited = self.wakes.wait_timeout(state, left);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn others_are_polled_for_however_many_read_what_was_stored_long_before() {
        let following = Following::new();
        following.opened();
        for number in 0..2 {
            following.follow(FollowerId(number), &format!("s-{number}"), -1);
            assert!(following.next(FollowerId(number), number).is_none());
        }
        assert!(matches!(following.next_task(true), FollowTask::Poll));
        following.polled(true);
        let FollowTask::Look(look) = following.next_task(true) else {
            panic!("what the poll found is looked at");
        };
        assert!(look.is_of_all);
        let FollowTask::Look(look) = following.next_task(false) else {
            panic!("the second one reads");
        };
        assert!(!look.is_of_all, "reading alone puts no poll off");
    }
}
