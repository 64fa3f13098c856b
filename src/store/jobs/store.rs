//! A store that jobs call beside its other callers: each call of a job waits for its answer.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use crate::store::answer::{Answer, Completion, Deliver};
use crate::store::error::StoreError;
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

/// A write that was called, and is done whether anybody waits for it or not.
pub struct Pending(Receiver<Result<Answer, StoreError>>);

impl Pending {
    /// Waits until the store has done it.
    pub fn wait(self) -> Result<Answer, StoreError> {
        // A store that has ended lets go of what it has not answered.
        self.0.recv().unwrap_or_else(|_| Err(StoreError::closed()))
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

/// Waits for the answer to a call.
fn answered<T>(call: impl FnOnce(Recipient<T>)) -> Result<Answer, StoreError> {
    pending(call).wait()
}

fn pending<T>(call: impl FnOnce(Recipient<T>)) -> Pending {
    let (sender, answer) = sync_channel(1);
    call(Recipient::Job(sender));
    Pending(answer)
}
