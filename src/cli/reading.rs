//! Reads a store for commands that print what they find, until the user wants them to end.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::calls::NoCaller;
use super::failure::Failure;
use super::stop::Stop;
use super::store::OpenStore;
use crate::store::error::{Quoted, StoreError};
use crate::store::jobs::pages::Pages;
use crate::store::jobs::{Ended, JobAnswer, JobStore};
use crate::store::list::{EventList, List, ListRequest, Order};
use crate::store::model::SessionEvent;
use crate::store::page::{PageSize, items};
use crate::store::{Answer, ReadRequest};

/// See the module's description.
pub(super) struct Reading<'a> {
    store: &'a JobStore<NoCaller>,
    /// What the store is called.
    name: &'a str,
    stop: &'a Arc<Stop>,
}

impl<'a> Reading<'a> {
    pub(super) fn of(store: &'a OpenStore, stop: &'a Arc<Stop>) -> Self {
        Self {
            store: &store.calls,
            name: &store.name,
            stop,
        }
    }

    /// Waits for what the store reads.
    pub(super) fn read(&self, request: ReadRequest) -> Result<Answer, Failure> {
        self.check()?;
        Ok(self.store.read(request)?)
    }

    /// The next page; nothing after the last one.
    pub(super) fn page<L: List + Clone>(&self, pages: &mut Pages<L>) -> Result<Option<String>, Failure>
    where
        ReadRequest: From<ListRequest<L>>,
    {
        self.check()?;
        pages
            .next(self.store)
            .map_err(|ended| Failure::of_job(ended, self.stop.code()))
    }

    /// The answers to several reads, which the store does at once where it can.
    pub(super) fn read_all(&self, requests: Vec<ReadRequest>) -> Result<Vec<Answer>, Failure> {
        self.check()?;
        Ok(self.store.read_all(requests)?)
    }

    /// The JSON text of a session's record.
    pub(super) fn session(&self, id: &str) -> Result<Option<String>, Failure> {
        match self.read(ReadRequest::GetSession { id: id.to_owned() })? {
            Answer::Json(record) => Ok(Some(record)),
            _ => Ok(None),
        }
    }

    /// Whether the session has events. One that is new has some before its record is written.
    pub(super) fn has_events(&self, id: &str) -> Result<bool, Failure> {
        Ok(self.newest_index(id)?.is_some())
    }

    /// The index of the session's newest event.
    pub(super) fn newest_index(&self, id: &str) -> Result<Option<i64>, Failure> {
        let list = EventList {
            order: Order::Descending,
            ..EventList::all(id.to_owned())
        };
        let request = ListRequest::new(list, None, PageSize::items(1))?;
        let Answer::Json(page) = self.read(request.into())? else {
            return Err(StoreError::internal("a list was answered with no page").into());
        };
        let events = items(&page)?;
        let event = events.first().map(|text| SessionEvent::parse(id, text)).transpose()?;
        Ok(event.map(|event| event.event_index))
    }

    /// The index after which the session's last `count` events come; nothing, if it has no more than those.
    pub(super) fn before_last(&self, id: &str, count: u32) -> Result<Option<i64>, Failure> {
        if count == 0 {
            return self.newest_index(id);
        }
        let request = ReadRequest::OldestOfNewest {
            session_id: id.to_owned(),
            count: count.into(),
        };
        match self.read(request)? {
            Answer::OfJob(JobAnswer::OldestOfNewest(index)) => Ok(index.map(|index| index - 1)),
            answer => Err(Failure::of_job(Ended::unexpected(&answer), self.stop.code())),
        }
    }

    /// A session's labels, by name.
    pub(super) fn labels(&self, id: &str) -> Result<BTreeMap<String, String>, Failure> {
        let session_id = id.to_owned();
        Ok(labels_of(&self.read(ReadRequest::GetLabels { session_id })?)?)
    }

    /// How a command ends that was given the id of a session that there is not.
    pub(super) fn no_session(&self, id: &str) -> Failure {
        Failure::NotFound(format!(
            "there is no session {} in {}: `sandbox-agent-persist sessions` lists those that there are",
            Quoted(id),
            self.name
        ))
    }

    /// Ends the command, if the user wants that.
    pub(super) fn check(&self) -> Result<(), Failure> {
        if self.stop.is_requested() {
            return Err(Failure::StoppedReading(self.stop.code()));
        }
        Ok(())
    }
}

/// The labels that were answered.
pub(super) fn labels_of(answer: &Answer) -> Result<BTreeMap<String, String>, StoreError> {
    let Answer::Json(labels) = answer else {
        return Ok(BTreeMap::new());
    };
    serde_json::from_str(labels).map_err(|error| StoreError::internal(&format!("labels could not be read: {error}")))
}
