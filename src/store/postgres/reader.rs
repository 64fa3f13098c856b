//! Answers what is read. Each call runs its statement on a connection of its own, unless its page was read ahead.

use std::rc::Rc;

use tokio::time::Instant;

use super::ahead::{List, Scans};
use super::check;
use super::compaction;
use super::connection::Connection;
use super::database::{Database, Purpose};
use super::error::Failure;
use super::measure::measure;
use super::prunable;
use super::read::{self, Span};
use super::scan;
use super::tables::Preparation;
use crate::store::compaction::StepDone;
use crate::store::cursor::{EventKey, Position, wrong_cursor};
use crate::store::error::StoreError;
use crate::store::find::FoundSessions;
use crate::store::labels;
use crate::store::list::{EventList, ListRequest};
use crate::store::page::Page;
use crate::store::prune::Pruned;
use crate::store::scan::{Scanned, Unrecorded};
use crate::store::{Answer, JobAnswer, ReadRequest};

/// See the module's description.
pub(super) struct Reader {
    database: Rc<Database>,
    preparation: Rc<Preparation>,
    scans: Rc<Scans>,
}

impl Reader {
    pub(super) fn new(database: Rc<Database>, preparation: Rc<Preparation>, scans: Rc<Scans>) -> Self {
        Self {
            database,
            preparation,
            scans,
        }
    }

    /// Answers one read.
    pub(super) async fn answer(&self, request: &ReadRequest) -> Result<Answer, StoreError> {
        if *request != ReadRequest::Measure {
            self.preparation.done().await?;
        }
        // Postgres has no text that holds U+0000.
        if request.texts().iter().any(|text| text.contains('\0')) {
            return nothing(request);
        }
        let tables = &self.database.options.tables;
        let deadline = self.database.deadline();
        let answer = match request {
            ReadRequest::GetSession { id } => {
                let work = async |connection: &Connection| read::session(connection, tables, id).await;
                let session = self.database.run_lookup(deadline, work).await;
                session.map(|session| session.map_or(Answer::Absent, Answer::Json))
            }
            ReadRequest::GetLabels { session_id } => {
                let work = async |connection: &Connection| read::labels(connection, tables, session_id).await;
                self.database.run_lookup(deadline, work).await.map(Answer::Json)
            }
            ReadRequest::ListSessions(request) => {
                let work = async |connection: &Connection| read::sessions(connection, tables, request).await;
                let page = self.database.run(Purpose::Read, deadline, work).await;
                page.map(|page| Answer::Json(page.text))
            }
            ReadRequest::ListEvents(request) => self.events(request, deadline).await.map(Answer::Json),
            ReadRequest::FindSessions(request) => {
                let work = async |connection: &Connection| read::find(connection, tables, request).await;
                let found = self.database.run(Purpose::Read, deadline, work).await;
                found.map(|found| Answer::OfJob(JobAnswer::Sessions(found)))
            }
            ReadRequest::WouldPrune(step) => {
                let work = async |connection: &Connection| prunable::would_prune(connection, tables, step).await;
                let pruned = self.database.run(Purpose::Read, deadline, work).await;
                pruned.map(|pruned| Answer::OfJob(JobAnswer::Pruned(pruned)))
            }
            ReadRequest::OldestOfNewest { session_id, count } => {
                let work = async |connection: &Connection| {
                    prunable::oldest_of_newest(connection, tables, session_id, *count).await
                };
                let index = self.database.run(Purpose::Read, deadline, work).await;
                index.map(|index| Answer::OfJob(JobAnswer::OldestOfNewest(index)))
            }
            ReadRequest::FindMessages { session_id, below } => {
                let work = async |connection: &Connection| {
                    compaction::find_messages(connection, tables, session_id, *below).await
                };
                let found = self.database.run(Purpose::Read, deadline, work).await;
                found.map(|found| Answer::OfJob(JobAnswer::Messages(Box::new(found))))
            }
            ReadRequest::TryCompaction(step) => {
                let work = async |connection: &Connection| compaction::count(connection, tables, step).await;
                let done = self.database.run(Purpose::Read, deadline, work).await;
                done.map(|done| Answer::OfJob(JobAnswer::Compacted(done)))
            }
            ReadRequest::Scan(scan) => {
                let work = async |connection: &Connection| scan::scan(connection, tables, scan).await;
                let scanned = self.database.run(Purpose::Read, deadline, work).await;
                scanned.map(|scanned| Answer::OfJob(JobAnswer::Scanned(scanned)))
            }
            // It waits for the tables itself, and not for long.
            ReadRequest::Measure => {
                let size = measure(&self.database, &self.preparation).await?;
                return Ok(Answer::Measured(Box::new(size)));
            }
            ReadRequest::Check(look) => {
                let looked = check::look(&self.database, look).await;
                looked.map(|looked| Answer::OfJob(JobAnswer::Looked(Box::new(looked))))
            }
        };
        match answer {
            // An id that the database's encoding does not have is the id of nothing in it.
            Err(failure) if failure.is_about_our_text() => nothing(request),
            Err(failure) => {
                let doing = format!("{} {}", request.doing(), self.database.options.target.name());
                Err(failure.into_error(&doing))
            }
            Ok(answer) => Ok(answer),
        }
    }

    async fn events(&self, request: &ListRequest<EventList>, deadline: Instant) -> Result<String, Failure> {
        if !request.list.is_of_all() {
            return Ok(self.selected_events(request, deadline).await?.text);
        }
        let list = Rc::new(List {
            events: request.list.clone(),
            size: request.size,
        });
        self.all_events(list, &request.position, deadline).await
    }

    /// A page of events that is read when it is asked for.
    async fn selected_events(
        &self,
        request: &ListRequest<EventList>,
        deadline: Instant,
    ) -> Result<Page<EventKey>, Failure> {
        let tables = &self.database.options.tables;
        let work = async |connection: &Connection| {
            if request.list.filter.method.is_some() {
                return read::events_with_method(connection, tables, request).await;
            }
            let span = Span::page(request.size);
            read::events(connection, tables, &request.list, &request.position, span, drop).await
        };
        self.database.run(Purpose::Read, deadline, work).await
    }

    /// A page of events: one that was read ahead, or else what is there now.
    async fn all_events(
        &self,
        list: Rc<List>,
        position: &Position<EventKey>,
        deadline: Instant,
    ) -> Result<String, Failure> {
        let called = Instant::now();
        let waiting = match position {
            // The first page of a scan, which often is the only one.
            Position::Offset(_) => None,
            Position::After(after) => {
                // As with a connection that goes silent, half of the time is left for another try.
                let half = called + (deadline - called) / 2;
                match self.scans.page(&list, *after, half).await {
                    Ok(text) => return Ok(text),
                    Err(waiting) => waiting.or_else(|| self.scans.begin(&list)),
                }
            }
        };
        let work = async |connection: &Connection| {
            let tables = &self.database.options.tables;
            read::events(connection, tables, &list.events, position, Span::page(list.size), drop).await
        };
        let page = self.database.run(Purpose::Read, deadline, work).await?;
        if let Some(next) = page.next {
            self.scans.note_read(&list, next, called);
            if let Some(waiting) = waiting {
                waiting.read_ahead(list, next, page.text.len());
            }
        }
        Ok(page.text)
    }
}

/// The answer when the request names something by what the database cannot have as a text.
fn nothing(request: &ReadRequest) -> Result<Answer, StoreError> {
    match request {
        ReadRequest::GetLabels { .. } => Ok(Answer::Json(labels::json([]))),
        ReadRequest::Check(_) => Ok(Answer::OfJob(JobAnswer::Looked(Box::default()))),
        // No page of this database had a cursor with such an id, and a list with such a filter has no other page.
        ReadRequest::ListSessions(ListRequest {
            position: Position::After(_),
            ..
        }) => Err(wrong_cursor()),
        ReadRequest::ListSessions(request) => Ok(Answer::Json(request.empty_page().finish(false).text)),
        ReadRequest::ListEvents(request) => Ok(Answer::Json(request.empty_page().finish(false).text)),
        ReadRequest::GetSession { .. } | ReadRequest::Measure => Ok(Answer::Absent),
        ReadRequest::FindSessions(_) => Ok(Answer::OfJob(JobAnswer::Sessions(FoundSessions::default()))),
        ReadRequest::WouldPrune(_) => Ok(Answer::OfJob(JobAnswer::Pruned(Pruned::SPARED))),
        ReadRequest::OldestOfNewest { .. } => Ok(Answer::OfJob(JobAnswer::OldestOfNewest(None))),
        ReadRequest::FindMessages { .. } => Ok(Answer::OfJob(JobAnswer::Messages(Box::default()))),
        // The other scans answer each session for itself.
        ReadRequest::Scan(_) => Ok(Answer::OfJob(JobAnswer::Scanned(Scanned::Unrecorded(
            Unrecorded::default(),
        )))),
        ReadRequest::TryCompaction(_) => Ok(Answer::OfJob(JobAnswer::Compacted(StepDone::default()))),
    }
}
