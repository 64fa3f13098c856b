//! A store that jobs call beside its other callers: each call of a job waits for its answer.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use crate::store::answer::{Answer, Completion, Deliver};
use crate::store::error::StoreError;
use crate::store::follow::FollowerId;
use crate::store::jobs::{Calls, Ended};
use crate::store::upkeep::UpkeepRequest;
use crate::store::write::WriteRequest;
use crate::store::{ReadRequest, Store};

/// Who gets an answer.
pub enum Recipient<T> {
    /// A caller outside, who has this ticket.
    Caller(T),
    /// A job that waits.
    Job(SyncSender<Result<Answer, StoreError>>),
}

/// Takes answers to jobs, and to callers by `deliver`.
pub fn deliver_to<T: 'static>(deliver: Deliver<T>) -> Deliver<Recipient<T>> {
    Arc::new(move |completions: Vec<Completion<Recipient<T>>>| {
        let for_caller = |(recipient, result)| match recipient {
            Recipient::Caller(ticket) => Some((ticket, result)),
            Recipient::Job(sender) => {
                // A job waits until it is answered, so there is one to take it; the channel has room for it.
                let _ = sender.send(result);
                None
            }
        };
        deliver(completions.into_iter().filter_map(for_caller).collect());
    })
}

/// A store, as jobs call it.
pub struct JobStore<T>(Arc<dyn Store<Recipient<T>> + Send + Sync>);

impl<T> Clone for JobStore<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

/// A call that was made, and is done whether anybody waits for it or not.
pub struct Pending(Receiver<Result<Answer, StoreError>>);

impl Pending {
    /// Waits until the store has done it.
    pub fn wait(self) -> Result<Answer, StoreError> {
        // A store that has ended lets go of what it has not answered.
        self.0.recv().unwrap_or_else(|_| Err(StoreError::closed()))
    }
}

/// A follower's next events, which may be long in coming.
pub struct NextEvents(Pending);

/// What has come for a follower.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// The JSON text of an array of events.
    Events(Arc<str>),
    /// Nothing so far.
    None,
    /// Nothing more will come: the session is deleted, or the store closed.
    End,
}

impl NextEvents {
    /// Waits for them, so long at most.
    pub fn within(&self, time: Duration) -> Result<News, StoreError> {
        let Pending(answer) = &self.0;
        match answer.recv_timeout(time) {
            Ok(answer) => Ok(match answer? {
                Answer::Events(events) => News::Events(events),
                _ => News::End,
            }),
            Err(RecvTimeoutError::Timeout) => Ok(News::None),
            Err(RecvTimeoutError::Disconnected) => Err(StoreError::closed()),
        }
    }
}

impl<T> JobStore<T> {
    /// The store behind these calls.
    pub fn new(store: Arc<dyn Store<Recipient<T>> + Send + Sync>) -> Self {
        Self(store)
    }

    /// Waits until the database can be used.
    pub fn ready(&self) -> Result<(), StoreError> {
        answered(|recipient| self.0.ready(recipient)).map(drop)
    }

    /// Waits until the store has done the write.
    pub fn write(&self, request: WriteRequest) -> Result<Answer, StoreError> {
        self.begin(request).wait()
    }

    /// Calls for the write, and does not wait for it.
    #[must_use]
    pub fn begin(&self, request: WriteRequest) -> Pending {
        pending(|recipient| self.0.write(vec![(request, recipient)]))
    }

    /// Waits for what the store reads.
    pub fn read(&self, request: ReadRequest) -> Result<Answer, StoreError> {
        answered(|recipient| self.0.read(request, recipient))
    }

    /// Waits for what the store reads for all of these, which it does at once where it can. The answers come in the same order.
    pub fn read_all(&self, requests: Vec<ReadRequest>) -> Result<Vec<Answer>, StoreError> {
        let ask = |request| pending(|recipient| self.0.read(request, recipient));
        let asked: Vec<Pending> = requests.into_iter().map(ask).collect();
        asked.into_iter().map(Pending::wait).collect()
    }

    /// Adds a follower of the session, which is given its events after index `after`.
    pub fn follow(&self, follower: FollowerId, session_id: &str, after: i64) {
        self.0.follow(follower, session_id, after);
    }

    /// Asks for the follower's next events.
    #[must_use]
    pub fn next_events(&self, follower: FollowerId) -> NextEvents {
        NextEvents(pending(|recipient| self.0.next_events(follower, recipient)))
    }

    /// Waits until all is stored and released.
    pub fn close(&self) -> Result<(), StoreError> {
        answered(|recipient| self.0.close(Some(recipient))).map(drop)
    }
}

/// The store as a job has it whom nobody ends and nobody listens to.
impl<T> Calls<()> for JobStore<T> {
    fn ready(&self) -> Result<(), Ended> {
        Ok(Self::ready(self)?)
    }

    fn write(&self, request: WriteRequest) -> Result<Answer, Ended> {
        Ok(Self::write(self, request)?)
    }

    fn begin(&self, request: WriteRequest) -> Result<Pending, Ended> {
        Ok(Self::begin(self, request))
    }

    fn read(&self, request: ReadRequest) -> Result<Answer, Ended> {
        Ok(Self::read(self, request)?)
    }

    fn clean_up(&self, request: UpkeepRequest) -> Result<Answer, Ended> {
        Ok(Self::write(self, request.into())?)
    }

    fn progress(&self, (): &()) -> Result<(), Ended> {
        Ok(())
    }
}

/// Who has a job done: may end it, and hears how far it is.
pub trait Owner<Progress> {
    /// Fails once the job is to end.
    fn check(&self) -> Result<(), Ended>;
    /// Hears how far the job is.
    fn progress(&self, so_far: &Progress) -> Result<(), Ended>;
}

/// The store as a job has it that somebody owns, who may end it before each call.
pub struct OwnedCalls<T, O> {
    /// The store.
    pub store: JobStore<T>,
    /// Who that is.
    pub owner: O,
}

impl<T, O, Progress> Calls<Progress> for OwnedCalls<T, O>
where
    O: Owner<Progress>,
{
    fn ready(&self) -> Result<(), Ended> {
        self.owner.check()?;
        Ok(self.store.ready()?)
    }

    fn write(&self, request: WriteRequest) -> Result<Answer, Ended> {
        self.owner.check()?;
        Ok(self.store.write(request)?)
    }

    fn begin(&self, request: WriteRequest) -> Result<Pending, Ended> {
        self.owner.check()?;
        Ok(self.store.begin(request))
    }

    fn read(&self, request: ReadRequest) -> Result<Answer, Ended> {
        self.owner.check()?;
        Ok(self.store.read(request)?)
    }

    fn clean_up(&self, request: UpkeepRequest) -> Result<Answer, Ended> {
        Ok(self.store.write(request.into())?)
    }

    fn progress(&self, so_far: &Progress) -> Result<(), Ended> {
        self.owner.check()?;
        self.owner.progress(so_far)
    }
}

/// Waits for the answer to a call.
fn answered<T>(call: impl FnOnce(Recipient<T>)) -> Result<Answer, StoreError> {
    pending(call).wait()
}

fn pending<T>(call: impl FnOnce(Recipient<T>)) -> Pending {
    let (sender, answer) = sync_channel(1);
    call(Recipient::Job(sender));
    Pending(answer)
}
