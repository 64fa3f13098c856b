//! Followers: tells them what is new, with one query for all of them. The store's thread runs [`Following::answer_all`].
//!
//! Nobody tells us what others commit: `NOTIFY` would make all writers of a server wait for each other, and `LISTEN` does not
//! get through a pooler. So the server is asked while anybody waits, when [`pace`] says so: first whether anybody has committed
//! anything at all, which costs it a fifth of what a query for events does, and only then for events ([`news`]). What this
//! driver has stored itself is asked for at once.
//!
//! A poll is a read like any other. It takes one of the connections that read pages, and gives it back when it is answered: so
//! followers keep no connection while nobody waits, and one query at a time is under way, however far the server is.

mod news;
mod pace;
mod watch;

use std::cell::{Cell, RefCell};
use std::future::pending;
use std::rc::Rc;

use futures_util::try_join;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::connection::Connection;
use super::database::{Database, Purpose};
use super::error::Failure;
use super::tables::Preparation;
use crate::store::error::{ErrorKind, Quoted, StoreError, catching_async};
use crate::store::follow::{Ask, Events, FollowerId, Followers, Look, Moment};
use crate::store::{Completion, Deliver};
use news::EventSize;
use pace::News;
use watch::Watch;

/// How many followers read at once what was stored long before.
const READING_AT_ONCE: usize = 100;

/// The followers of a store.
pub(super) struct Following<T> {
    database: Rc<Database>,
    preparation: Rc<Preparation>,
    deliver: Deliver<T>,
    followers: RefCell<Followers<T>>,
    /// Whether this driver has stored something for them since they were last looked after.
    written: Cell<bool>,
    /// Whether somebody has begun to follow since.
    has_new: Cell<bool>,
    closing: Cell<bool>,
    wake: Notify,
}

/// What is to be done next.
enum Task {
    Ask(Question),
    /// Nothing until this time, unless somebody wakes us.
    Wait(Option<Instant>),
}

/// What the server is to be asked.
enum Question {
    /// Whether anything is new, and if so, for all that is waited for.
    Poll,
    Look(Look),
}

/// What came of a look.
struct Found {
    /// In the order of its asks.
    events: Vec<Result<Events, Failure>>,
    deleted: Vec<String>,
}

impl<T> Following<T> {
    pub(super) fn new(database: Rc<Database>, preparation: Rc<Preparation>, deliver: Deliver<T>) -> Self {
        Self {
            database,
            preparation,
            deliver,
            followers: RefCell::default(),
            written: Cell::new(false),
            has_new: Cell::new(false),
            closing: Cell::new(false),
            wake: Notify::new(),
        }
    }

    pub(super) fn follow(&self, follower: FollowerId, session_id: &str, after: i64) {
        self.followers.borrow_mut().follow(follower, session_id, after);
        self.has_new.set(true);
    }

    /// The follower waits for events.
    pub(super) fn next_events(&self, follower: FollowerId, ticket: T) {
        let answered = self.followers.borrow_mut().next(follower, ticket);
        self.answer(answered);
        self.wake.notify_one();
    }

    pub(super) fn unfollow(&self, follower: FollowerId) {
        let answered = self.followers.borrow_mut().unfollow(follower);
        self.answer(answered);
    }

    /// This driver has stored an event of the session.
    pub(super) fn written(&self, session_id: &str) {
        let mut followers = self.followers.borrow_mut();
        followers.written(session_id);
        if followers.have_to_look() {
            self.written.set(true);
            self.wake.notify_one();
        }
    }

    /// This driver has deleted the session.
    pub(super) fn deleted(&self, session_id: &str) {
        let ended = self.followers.borrow_mut().ended(session_id);
        self.answer(ended);
    }

    /// Lets [`Self::answer_all`] end once those that wait have what is stored.
    pub(super) fn close(&self) {
        self.closing.set(true);
        self.followers.borrow_mut().finish();
        self.wake.notify_one();
    }

    /// Nobody gets anything more.
    pub(super) fn end_all(&self) {
        let answered = self.followers.borrow_mut().close();
        self.answer(answered);
    }

    fn answer(&self, answered: impl IntoIterator<Item = Completion<T>>) {
        (self.deliver)(answered.into_iter().collect());
    }

    /// Answers those that wait, until it is closed.
    pub(super) async fn answer_all(&self) {
        let mut watch = Watch::new(Instant::now());
        loop {
            if self.has_new.take() {
                watch.pace.expect_events(Instant::now());
            }
            match self.next_task(&watch) {
                Task::Ask(question) => {
                    if let Err(error) = catching_async("following", self.ask(question, &mut watch)).await {
                        let answered = self.followers.borrow_mut().all_failed(&error);
                        self.answer(answered);
                    }
                }
                Task::Wait(_) if self.closing.get() => return,
                Task::Wait(until) => {
                    tokio::select! {
                        () = self.wake.notified() => {}
                        () = sleep_until_any(until) => {}
                    }
                }
            }
        }
    }

    fn next_task(&self, watch: &Watch) -> Task {
        let mut followers = self.followers.borrow_mut();
        if !followers.wait() {
            return Task::Wait(None);
        }
        let now = Instant::now();
        let next_poll = watch.pace.next_poll();
        if next_poll <= now && !self.closing.get() {
            return Task::Ask(Question::Poll);
        }
        let due = [followers.due().map(Instant::from_std), watch.next_look_for_deleted()];
        let due = due.into_iter().flatten().min();
        if followers.have_to_look() || due.is_some_and(|due| due <= now) {
            return Task::Ask(Question::Look(followers.look(now.into_std(), READING_AT_ONCE)));
        }
        Task::Wait(Some(due.map_or(next_poll, |due| due.min(next_poll))))
    }

    /// Asks the server, and tells the followers what it says.
    async fn ask(&self, question: Question, watch: &mut Watch) -> Result<(), StoreError> {
        self.preparation.done().await?;
        let deadline = self.database.deadline();
        let written = self.written.take();
        match question {
            Question::Poll => self.poll(deadline, watch).await,
            Question::Look(look) => {
                let found_events = self.look(watch.choose(look), deadline, watch).await?;
                if written && found_events {
                    watch.pace.expect_events(Instant::now());
                }
                Ok(())
            }
        }
    }

    async fn poll(&self, deadline: Instant, watch: &mut Watch) -> Result<(), StoreError> {
        let (mut changed, mut look) = (false, None);
        let work = async |connection: &Connection| {
            let look = if let Some(look) = &look {
                look
            } else {
                // On the connection that answers the rest: of several servers another one may not have come as far.
                changed = watch.has_changed(connection).await?;
                let mut followers = self.followers.borrow_mut();
                if changed {
                    followers.changed();
                }
                look.insert(watch.choose(followers.look(Instant::now().into_std(), READING_AT_ONCE)))
            };
            self.read(connection, look, &mut watch.event_size).await
        };
        let result = self.database.run(Purpose::Read, deadline, work).await;
        let Some(look) = look else {
            return result.map(drop).map_err(|failure| self.error_of_all(failure));
        };
        let found_events = self.tell(look, result, deadline, watch).await?;
        let news = match (found_events, changed) {
            (true, _) => News::Events,
            (false, true) => News::OfOthers,
            (false, false) => News::None,
        };
        watch.pace.polled(news, Instant::now());
        Ok(())
    }

    /// Asks for events, and says whether there were some.
    async fn look(&self, look: Look, deadline: Instant, watch: &mut Watch) -> Result<bool, StoreError> {
        let work = async |connection: &Connection| self.read(connection, &look, &mut watch.event_size).await;
        let result = self.database.run(Purpose::Read, deadline, work).await;
        self.tell(look, result, deadline, watch).await
    }

    async fn read(&self, connection: &Connection, look: &Look, size: &mut EventSize) -> Result<Found, Failure> {
        let tables = &self.database.options.tables;
        let events = news::events(connection, tables, &look.asks, size);
        let deleted = news::deleted(connection, tables, &look.sessions);
        let (events, deleted) = try_join!(events, deleted)?;
        Ok(Found { events, deleted })
    }

    /// Tells the followers what came of a look, and says whether that is events. An error is for all of them.
    async fn tell(
        &self,
        look: Look,
        result: Result<Found, Failure>,
        deadline: Instant,
        watch: &mut Watch,
    ) -> Result<bool, StoreError> {
        let found = match result {
            Ok(found) => found,
            // One session must not end the followers of the others.
            Err(failure) if look.asks.len() > 1 && may_be_of_one_session(&failure) => {
                let mut found_events = false;
                for ask in look.asks {
                    let alone = Look {
                        asks: vec![ask],
                        ..Look::default()
                    };
                    found_events |= Box::pin(self.look(alone, deadline, watch)).await?;
                }
                return Ok(found_events);
            }
            // Which sessions are deleted is asked for all at once.
            Err(failure) if look.asks.is_empty() => return Err(self.error_of_all(failure)),
            Err(failure) => {
                for ask in look.asks {
                    self.fail(&ask, failure.clone(), watch);
                }
                return Ok(false);
            }
        };
        let now = Moment::now();
        let mut found_events = false;
        for (ask, events) in look.asks.iter().zip(found.events) {
            match events {
                Ok(events) => {
                    let answered = self.followers.borrow_mut().found(ask, &events, now);
                    found_events |= !answered.is_empty();
                    self.answer(answered);
                }
                Err(failure) => self.fail(ask, failure, watch),
            }
        }
        for session_id in found.deleted {
            let answered = self.followers.borrow_mut().ended(&session_id);
            self.answer(answered);
        }
        watch.looked_for_deleted(&look.sessions);
        Ok(found_events)
    }

    fn error_of_all(&self, failure: Failure) -> StoreError {
        failure.into_error(&format!(
            "looking for new events in {}",
            self.database.options.target.name()
        ))
    }

    fn fail(&self, ask: &Ask, failure: Failure, watch: &mut Watch) {
        if failure.is_about_our_text() {
            watch.note_impossible(ask);
            return;
        }
        let (session_id, database) = (Quoted(&ask.session_id), self.database.options.target.name());
        let error = failure.into_error(&format!("following session {session_id} in {database}"));
        let answered = self.followers.borrow_mut().failed(ask, &error);
        self.answer(answered);
    }
}

/// Whether the failure may come of one session's id or rows.
fn may_be_of_one_session(failure: &Failure) -> bool {
    let is_of_rows = matches!(
        failure.kind,
        ErrorKind::InvalidArgument | ErrorKind::Corrupt | ErrorKind::Internal
    );
    is_of_rows && failure.is_refusal() && !failure.may_pass()
}

async fn sleep_until_any(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => pending().await,
    }
}
