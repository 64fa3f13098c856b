//! What is read from SQLite: one session, a page of sessions, a page of events. The reader threads call it.

use std::cell::RefCell;

use rusqlite::{Connection, OptionalExtension, Row, params_from_iter};

use super::check;
use super::compaction::Compaction;
use super::connection::Target;
use super::list::{ListStatement, Lists};
use super::measure::Measurement;
use super::prunable;
use super::record::{event, integer, session, text};
use super::scan;
use super::tables::Tables;
use crate::store::cursor::SessionKey;
use crate::store::error::StoreError;
use crate::store::find::{FindSessions, FoundSessions};
use crate::store::labels;
use crate::store::list::{EventList, Label, List, ListRequest, SessionList};
use crate::store::page::{Page, PageText};
use crate::store::tables::columns;
use crate::store::{Answer, JobAnswer, ReadRequest};

/// What a read found, and the read that the caller will ask for next when there is more.
pub(super) struct Found {
    pub(super) answer: Answer,
    pub(super) next: Option<ReadRequest>,
}

impl Found {
    /// What a job has asked for.
    fn of_job(answer: JobAnswer) -> Self {
        Self {
            answer: Answer::OfJob(answer),
            next: None,
        }
    }

    /// How much text it keeps in memory.
    pub(super) fn bytes(&self) -> usize {
        match &self.answer {
            Answer::Json(text) => text.len(),
            Answer::Events(text) => text.len(),
            Answer::Done
            | Answer::Reassigned(_)
            | Answer::Absent
            | Answer::Deleted(_)
            | Answer::Measured(_)
            | Answer::OfJob(_) => 0,
        }
    }
}

/// One reader's connection and the statements it uses.
pub(super) struct Reader {
    connection: Connection,
    target: Target,
    tables: Tables,
    get_session: String,
    get_labels: String,
    lists: Lists,
    compaction: Compaction,
    measurement: RefCell<Measurement>,
}

impl Reader {
    pub(super) fn open(target: &Target, tables: &Tables) -> Result<Self, StoreError> {
        Ok(Self {
            connection: target.open_reader()?,
            target: target.clone(),
            tables: tables.clone(),
            get_session: select_session(tables),
            get_labels: format!(
                "SELECT name, value FROM {} WHERE session_id = ?1 ORDER BY name",
                tables.labels
            ),
            lists: Lists::of(tables),
            compaction: Compaction::new(tables),
            measurement: RefCell::new(Measurement::new(&target.location, tables)),
        })
    }

    /// Answers one read.
    pub(super) fn read(&self, request: &ReadRequest) -> Result<Found, StoreError> {
        self.target
            .patiently(|| self.try_read(request))
            .map_err(|error| self.target.error(&request.doing(), &error))
    }

    /// A number that changes when another connection, of whatever process, has changed the database.
    pub(super) fn data_version(&self) -> rusqlite::Result<i64> {
        data_version(&self.connection)
    }

    fn try_read(&self, request: &ReadRequest) -> rusqlite::Result<Found> {
        match request {
            ReadRequest::GetSession { id } => self.session(id),
            ReadRequest::GetLabels { session_id } => self.labels(session_id),
            ReadRequest::ListSessions(request) => self.sessions(request),
            ReadRequest::ListEvents(request) => self.events(request),
            ReadRequest::FindSessions(request) => self.find(request).map(Found::of_job),
            ReadRequest::WouldPrune(step) => prunable::would_prune(&self.connection, &self.tables, step)
                .map(|pruned| Found::of_job(JobAnswer::Pruned(pruned))),
            ReadRequest::OldestOfNewest { session_id, count } => {
                prunable::oldest_of_newest(&self.connection, &self.tables, session_id, *count)
                    .map(|index| Found::of_job(JobAnswer::OldestOfNewest(index)))
            }
            ReadRequest::FindMessages { session_id, below } => Ok(Found::of_job(self.compaction.find_messages(
                &self.connection,
                session_id,
                *below,
            )?)),
            ReadRequest::TryCompaction(step) => Ok(Found::of_job(self.compaction.count(&self.connection, step)?)),
            ReadRequest::Scan(request) => scan::scan(&self.connection, &self.target, &self.tables, request)
                .map(|scanned| Found::of_job(JobAnswer::Scanned(scanned))),
            ReadRequest::Measure => self.measure(),
            ReadRequest::Check(look) => {
                let looked = check::look(&self.connection, &self.target, &self.tables, look)?;
                Ok(Found {
                    answer: Answer::OfJob(JobAnswer::Looked(Box::new(looked))),
                    next: None,
                })
            }
        }
    }

    fn measure(&self) -> rusqlite::Result<Found> {
        let size = self.measurement.borrow_mut().take(&self.connection)?;
        Ok(Found {
            answer: Answer::Measured(Box::new(size)),
            next: None,
        })
    }

    fn session(&self, id: &str) -> rusqlite::Result<Found> {
        Ok(Found {
            answer: find_session(&self.connection, &self.get_session, id)?,
            next: None,
        })
    }

    fn labels(&self, session_id: &str) -> rusqlite::Result<Found> {
        let mut statement = self.connection.prepare_cached(&self.get_labels)?;
        let found = statement.query_map([session_id], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let found = found.collect::<rusqlite::Result<Vec<(String, String)>>>()?;
        let found = found.iter().map(|(name, value)| (&**name, &**value));
        Ok(Found {
            answer: Answer::Json(labels::json(found)),
            next: None,
        })
    }

    fn sessions(&self, request: &ListRequest<SessionList>) -> rusqlite::Result<Found> {
        let rare = self.rare_label(&request.list)?;
        let page = self.page(request, &self.lists.sessions(request, rare), |row, page| {
            Ok(page.push_session(&session(row)?))
        })?;
        Ok(Found {
            answer: Answer::Json(page.text),
            next: page.next.map(|key| ReadRequest::ListSessions(request.after(key))),
        })
    }

    fn rare_label<'a>(&self, list: &'a SessionList) -> rusqlite::Result<Option<Label<'a>>> {
        if list.filter.labels.is_empty() {
            return Ok(None);
        }
        let statement = self.lists.label_counts(list);
        let mut prepared = self.connection.prepare_cached(&statement.sql)?;
        let counts: Vec<i64> = prepared.query_row(params_from_iter(&statement.parameters), |row| {
            (0..list.filter.labels.len()).map(|label| row.get(label)).collect()
        })?;
        Ok(list.rare_label(&counts))
    }

    fn events(&self, request: &ListRequest<EventList>) -> rusqlite::Result<Found> {
        let list = &request.list;
        let page = self.page(request, &self.lists.events(request), |row, page| {
            let event = event(row, &list.session_id)?;
            Ok(!list.selects(&event) || page.push_event(&event))
        })?;
        Ok(Found {
            answer: Answer::Json(page.text),
            next: page.next.map(|key| ReadRequest::ListEvents(request.after(key))),
        })
    }

    fn find(&self, request: &FindSessions) -> rusqlite::Result<JobAnswer> {
        let statement = self.lists.find(request);
        let mut prepared = self.connection.prepare_cached(&statement.sql)?;
        let mut rows = prepared.query(params_from_iter(&statement.parameters))?;
        let mut found = FoundSessions::default();
        let mut looked_at = 0;
        while let Some(row) = rows.next()? {
            let key = SessionKey {
                created_at: integer(row, 0)?,
                id: text(row, 1)?.into_owned(),
            };
            found.push(key, row.get::<_, Option<bool>>(2)? == Some(true));
            looked_at += 1;
        }
        Ok(JobAnswer::Sessions(found.finish(looked_at)))
    }

    /// Puts rows on a page until it is full; `push` says whether its row still belongs to it.
    fn page<L: List>(
        &self,
        request: &ListRequest<L>,
        statement: &ListStatement<'_>,
        mut push: impl FnMut(&Row<'_>, &mut PageText<L::Key>) -> rusqlite::Result<bool>,
    ) -> rusqlite::Result<Page<L::Key>> {
        let mut prepared = self.connection.prepare_cached(&statement.sql)?;
        let mut rows = prepared.query(params_from_iter(&statement.parameters))?;
        let mut page = request.empty_page();
        while let Some(row) = rows.next()? {
            if !push(row, &mut page)? {
                return Ok(page.finish(true));
            }
        }
        Ok(page.finish(false))
    }
}

/// The statement that [`find_session`] runs.
pub(super) fn select_session(Tables { sessions, .. }: &Tables) -> String {
    let columns = columns::names(&columns::SESSIONS);
    format!("SELECT {columns} FROM {sessions} WHERE id = ?1")
}

/// The session's record, as a read answers it.
pub(super) fn find_session(connection: &Connection, select: &str, id: &str) -> rusqlite::Result<Answer> {
    let mut statement = connection.prepare_cached(select)?;
    let found = statement.query_row([id], |row| {
        let mut text = String::new();
        session(row)?.write_json(&mut text);
        Ok(text)
    });
    Ok(found.optional()?.map_or(Answer::Absent, Answer::Json))
}

/// A number that changes when another connection than this one has changed the database.
pub(super) fn data_version(connection: &Connection) -> rusqlite::Result<i64> {
    connection
        .prepare_cached("PRAGMA data_version")?
        .query_row([], |row| row.get(0))
}
