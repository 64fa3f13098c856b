//! Reads a store for commands that print what they find, until the user wants them to end.

use std::collections::BTreeMap;

use super::failure::Failure;
use super::stop::Stop;
use super::store::OpenStore;
use crate::store::error::StoreError;
use crate::store::jobs::Ended;
use crate::store::jobs::pages::Pages;
use crate::store::list::{EventList, List, ListRequest, Order};
use crate::store::model::SessionEvent;
use crate::store::page::{PageSize, items};
use crate::store::{Answer, JobAnswer, ReadRequest};

/// See the module's description.
pub(super) struct Reading<'a> {
    store: &'a OpenStore,
    stop: &'a Stop,
}

impl<'a> Reading<'a> {
    pub(super) fn of(store: &'a OpenStore, stop: &'a Stop) -> Self {
        Self { store, stop }
    }

    /// Waits for what the store reads.
    pub(super) fn read(&self, request: ReadRequest) -> Result<Answer, Failure> {
        self.check()?;
        Ok(self.store.calls.read(request)?)
    }

    /// The next page; nothing after the last one.
    pub(super) fn page<L: List + Clone>(&self, pages: &mut Pages<L>) -> Result<Option<String>, Failure>
    where
        ReadRequest: From<ListRequest<L>>,
    {
        self.check()?;
        pages
            .next(&self.store.calls)
            .map_err(|ended| Failure::of_job(ended, self.stop))
    }

    /// The answers to several reads, which the store does at once where it can.
    pub(super) fn read_all(&self, requests: Vec<ReadRequest>) -> Result<Vec<Answer>, Failure> {
        self.check()?;
        Ok(self.store.calls.read_all(requests)?)
    }

    /// The JSON text of a session's record; nothing where events are all there is of it so far. Fails if there is nothing at all.
    pub(super) fn session(&self, id: &str) -> Result<Option<String>, Failure> {
        match self.read(ReadRequest::GetSession { id: id.to_owned() })? {
            Answer::Json(record) => Ok(Some(record)),
            _ if self.newest_index(id)?.is_some() => Ok(None),
            _ => Err(self.store.has_no(id)),
        }
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
            answer => Err(Failure::of_job(Ended::unexpected(&answer), self.stop)),
        }
    }

    /// A session's labels, by name.
    pub(super) fn labels(&self, id: &str) -> Result<BTreeMap<String, String>, Failure> {
        let session_id = id.to_owned();
        Ok(labels_of(&self.read(ReadRequest::GetLabels { session_id })?)?)
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
