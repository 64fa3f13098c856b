//! A store that jobs call beside its other callers: each call of a job waits for its answer.

use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};

use crate::store::answer::{Answer, Completion, Deliver};
use crate::store::error::StoreError;
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
        answered(|recipient| self.0.write(vec![(request, recipient)]))
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

/// Waits for the answer to a call.
fn answered<T>(call: impl FnOnce(Recipient<T>)) -> Result<Answer, StoreError> {
    let (sender, answer) = sync_channel(1);
    call(Recipient::Job(sender));
    // A store that has ended lets go of what it has not answered.
    answer.recv().unwrap_or_else(|_| Err(StoreError::closed()))
}
