//! Writes that keep no place in the order of a session. `serve` calls it.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use tokio_postgres::Client;
use tokio_postgres::types::Type;

use super::connection::Connection;
use super::database::{Database, Purpose};
use super::error::{Failure, Remedy};
use super::late_writes::LateWrites;
use super::load::{LoadStatements, Loading};
use super::rebuild;
use super::single::Undone;
use super::statement::Statements;
use super::tables::{Preparation, Tables};
use super::trim::Trimming;
use crate::store::error::ErrorKind;
use crate::store::tables::TableName;
use crate::store::upkeep::UpkeepRequest;
use crate::store::write::WriteResult;
use crate::store::{Answer, JobAnswer};

/// See the module's description.
pub(super) struct Upkeep {
    database: Rc<Database>,
    preparation: Rc<Preparation>,
    late_writes: Rc<LateWrites>,
    trimming: Rc<Trimming>,
    statements: Statements,
    load_statements: LoadStatements,
    /// The sessions whose events are being changed, and by how many requests.
    changing: RefCell<HashMap<Box<str>, u32>>,
}

impl Upkeep {
    pub(super) fn new(
        database: Rc<Database>,
        preparation: Rc<Preparation>,
        late_writes: Rc<LateWrites>,
        trimming: Rc<Trimming>,
    ) -> Self {
        Self {
            statements: Statements::new(&database.options.tables, database.options.query_timeout),
            load_statements: LoadStatements::new(&database.options.tables),
            database,
            preparation,
            late_writes,
            trimming,
            changing: RefCell::default(),
        }
    }

    /// Notes that the request is about to change events of its sessions, until [`Self::ends`].
    pub(super) fn begins(&self, request: &UpkeepRequest) {
        let mut changing = self.changing.borrow_mut();
        for session_id in request.sessions_of_events() {
            *changing.entry(session_id.into()).or_default() += 1;
        }
    }

    /// The request has changed what it changes, or some of it where it has failed.
    pub(super) fn ends(&self, request: &UpkeepRequest, result: &WriteResult) {
        match request {
            UpkeepRequest::Load(step) => {
                if let Ok(Answer::OfJob(JobAnswer::Loaded(loaded))) = result {
                    let parts = step.parts.iter().zip(&loaded.parts);
                    let stored = parts.filter(|(_, result)| result.is_ok());
                    stored.for_each(|(part, _)| self.trimming.loaded(part));
                    self.trimming.committed();
                }
                self.late_writes.note_written(step.session_ids().map(Rc::from));
            }
            UpkeepRequest::TakeBack(taking) => self.trimming.changed(&taking.session_id),
            UpkeepRequest::GiveBack | UpkeepRequest::Vacuum | UpkeepRequest::Rebuild(_) => {}
        }
        let mut changing = self.changing.borrow_mut();
        for session_id in request.sessions_of_events() {
            if let Some(requests) = changing.get_mut(session_id) {
                *requests -= 1;
                if *requests == 0 {
                    changing.remove(session_id);
                }
            }
        }
    }

    /// Whether events of the session are being changed.
    pub(super) fn is_changing(&self, session_id: &str) -> bool {
        self.changing.borrow().contains_key(session_id)
    }

    /// Does what was asked for, however long it takes.
    pub(super) async fn run(&self, request: &UpkeepRequest) -> WriteResult {
        self.preparation.done().await?;
        let done = match request {
            // The server's autovacuum does it beside all else.
            UpkeepRequest::GiveBack => Ok(freed_bytes(0)),
            UpkeepRequest::Vacuum => self.vacuum().await,
            UpkeepRequest::Rebuild(request) => match rebuild::step(&self.database, request).await {
                Ok(rebuilt) => Ok(Answer::OfJob(JobAnswer::Rebuilt(Box::new(rebuilt)))),
                Err(Undone::Refused(refusal)) => return Err(refusal),
                Err(Undone::Failed(failure)) => Err(rebuild::advised(failure)),
            },
            UpkeepRequest::Load(step) => self.loading().load(step).await,
            UpkeepRequest::TakeBack(taking) => self.loading().take_back(taking).await,
        };
        done.map_err(|failure| {
            failure.into_error(&format!("{} {}", request.doing(), self.database.options.target.name()))
        })
    }

    fn loading(&self) -> Loading<'_> {
        Loading {
            database: &self.database,
            statements: &self.statements,
            load_statements: &self.load_statements,
        }
    }

    /// Vacuums the tables, and says by how much they have become smaller.
    async fn vacuum(&self) -> Result<Answer, Failure> {
        let Tables {
            sessions,
            events,
            labels,
            deleted,
            ..
        } = &self.database.options.tables;
        let tables = [events, sessions, labels, deleted];
        let vacuum = async |connection: &Connection| {
            check_rights(connection, &tables).await?;
            let before = bytes(connection, &tables).await?;
            for table in tables {
                connection.batch_execute(&format!("VACUUM {table}")).await?;
            }
            Ok(before - bytes(connection, &tables).await?)
        };
        let freed = self.database.run_until_closing(Purpose::Read, vacuum).await?;
        Ok(freed_bytes(freed))
    }
}

fn freed_bytes(bytes: i64) -> Answer {
    Answer::OfJob(JobAnswer::Freed {
        // Others write meanwhile: the tables may have grown.
        bytes: u64::try_from(bytes).unwrap_or(0),
        is_more: false,
        took: Duration::ZERO,
    })
}

/// The tables of which the parameter has the names, and the parts of those that are partitioned.
const PARTS: &str = "SELECT name::pg_catalog.regclass AS relid FROM pg_catalog.unnest($1) AS given (name) \
                     UNION SELECT part.relid FROM pg_catalog.unnest($1) AS given (name), \
                       pg_catalog.pg_partition_tree(given.name::pg_catalog.regclass) AS part";

/// The tables' names, as texts that the server reads as names.
fn names(tables: &[&TableName]) -> Vec<String> {
    tables.iter().map(ToString::to_string).collect()
}

/// Refuses to go on without the right to vacuum a table or a part of it: the server would pass over it, and only warn.
async fn check_rights(client: &Client, tables: &[&TableName]) -> Result<(), Failure> {
    let sql = format!(
        "SELECT part.relid::pg_catalog.regclass::pg_catalog.text \
         FROM ({PARTS}) AS part, pg_catalog.pg_class AS class, pg_catalog.pg_database AS database \
         WHERE class.oid = part.relid AND database.datname = pg_catalog.current_database() \
           AND NOT pg_catalog.pg_has_role(class.relowner, 'USAGE') AND NOT pg_catalog.pg_has_role(database.datdba, 'USAGE') \
           AND NOT CASE WHEN pg_catalog.current_setting('server_version_num')::pg_catalog.int4 >= 170000 \
             THEN pg_catalog.has_table_privilege(part.relid, 'MAINTAIN') ELSE false END \
         LIMIT 1"
    );
    let rows = client.query_typed(&sql, &[(&names(tables), Type::TEXT_ARRAY)]).await?;
    let Some(row) = rows.first() else {
        return Ok(());
    };
    let table: &str = row.try_get(0)?;
    Err(Failure::new(
        Remedy::None,
        ErrorKind::Unavailable,
        format!(
            "this user may not vacuum {table}; have its owner call this, or grant MAINTAIN on it (Postgres 17 and newer). The server's \
             autovacuum needs no right of anybody's"
        ),
    ))
}

/// How much space the tables take, with their indexes and all that belongs to them.
async fn bytes(client: &Client, tables: &[&TableName]) -> Result<i64, Failure> {
    let sql = format!(
        "SELECT COALESCE(pg_catalog.sum(pg_catalog.pg_total_relation_size(part.relid)), 0)::pg_catalog.int8 \
         FROM ({PARTS}) AS part"
    );
    let rows = client.query_typed(&sql, &[(&names(tables), Type::TEXT_ARRAY)]).await?;
    Ok(rows.first().map_or(Ok(0), |row| row.try_get(0))?)
}
