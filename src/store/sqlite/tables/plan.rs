//! What a migration would do: its steps, and what they mean for rows and for others. It only reads. The command line calls it, without
//! a store: one that may not migrate refuses tables that are not ready.

use rusqlite::Connection;

use super::schema::{self, HAS_FRACTIONAL_TIME, SqliteStep, Step};
use super::script::{misnumbered_sessions, script};
use super::{Tables, catalog};
use crate::store::access::Access;
use crate::store::error::StoreError;
use crate::store::message::StoreOption;
use crate::store::sqlite::connection::{self, Location, Target};
use crate::store::sqlite::space;
use crate::store::tables::TableName;
use crate::store::tables::plan::{MigrationPlan, Others, PlannedStep, SqlStep, Work};
use crate::store::tables::steps::Refusal;

/// Looks at the file. One that is not there yet lacks everything.
pub fn plan(target: &Target, tables: &Tables) -> Result<MigrationPlan, StoreError> {
    let target = Target {
        access: Access::Read,
        ..target.clone()
    };
    let failed = |error: rusqlite::Error| target.error("looking at the tables of", &error);
    let connection = match &target.location {
        Location::File(path) if path.exists() => target.open_reader()?,
        _ => Connection::open_in_memory().map_err(failed)?,
    };
    target
        .patiently(|| look(&connection, tables))
        .map_err(failed)?
        .map_err(|refusal| refusal.into_error(&target.location.name(), StoreOption::Filename))
}

/// What makes the tables of a new file.
pub fn creation(tables: &Tables) -> Result<MigrationPlan, StoreError> {
    plan(&Target::new(Location::parse(Location::MEMORY)?), tables)
}

fn look(connection: &Connection, tables: &Tables) -> rusqlite::Result<Result<MigrationPlan, Refusal>> {
    // All that is counted is counted in one state.
    let transaction = connection.unchecked_transaction()?;
    let plan = match schema::plan(connection, tables)? {
        Ok(plan) => plan,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let rows = RowCounts { connection, tables };
    let mut steps = Vec::new();
    for (step, sql) in script(connection, tables, &plan)? {
        let (table, work) = step.map_or(Ok((None, Work::Define)), |step| rows.work(step))?;
        steps.push(PlannedStep {
            step: sql,
            table: table.map(|table| table.plain.clone()),
            work,
            // The transaction has the file for itself, but for those who read what was there before.
            others: Others::Read,
        });
    }
    transaction.finish()?;
    Ok(Ok(MigrationPlan {
        settings: settings(connection)?,
        steps,
    }))
}

/// What is set before the transaction.
fn settings(connection: &Connection) -> rusqlite::Result<Vec<PlannedStep>> {
    let setting = |step: &str, sql: &str, others| PlannedStep {
        step: SqlStep::new(step, vec![sql.to_owned()]),
        table: None,
        work: Work::Define,
        others,
    };
    let mut settings = Vec::new();
    if space::is_empty(connection)? {
        let step = "let free space be given back in steps";
        settings.push(setting(step, space::GIVE_BACK_IN_STEPS, Others::ReadAndWrite));
    }
    if !connection::is_in_wal(connection)? {
        let step = "switch the file to write-ahead logging";
        settings.push(setting(step, connection::ENTER_WAL, Others::Wait));
    }
    Ok(settings)
}

/// How many rows the steps work on.
struct RowCounts<'a> {
    connection: &'a Connection,
    tables: &'a Tables,
}

impl<'a> RowCounts<'a> {
    /// Which table the step works on, and what it does with the rows.
    fn work(&self, step: &'a Step) -> rusqlite::Result<(Option<&'a TableName>, Work)> {
        let Tables {
            sessions,
            events,
            labels,
            deleted,
            ..
        } = self.tables;
        let (table, work) = match step {
            Step::CreateSessions => (sessions, Work::Define),
            Step::CreateEvents => (events, Work::Define),
            Step::CreateLabels => (labels, Work::Define),
            Step::CreateDeleted => (deleted, Work::Define),
            Step::AddColumn(table, _) => (table, Work::Define),
            Step::OfBackend(SqliteStep::RoundTimes) => (sessions, self.rewrite(sessions, HAS_FRACTIONAL_TIME)?),
            Step::OfBackend(SqliteStep::TextIds) => (events, self.rewrite(events, ALL)?),
            Step::RepairIndexes => (events, self.renumber()?),
            Step::UniquePlace => (events, self.index(events)?),
            Step::SessionOrder => (sessions, self.index(sessions)?),
        };
        Ok((Some(table), work))
    }

    fn renumber(&self) -> rusqlite::Result<Work> {
        let events = &self.tables.events;
        let found = catalog::table(self.connection, &events.plain)?;
        if found.is_none_or(|found| !found.columns.contains_key("event_index")) {
            return self.rewrite(events, ALL);
        }
        self.rewrite(events, &format!("session_id IN ({})", misnumbered_sessions(events)))
    }

    fn rewrite(&self, table: &TableName, condition: &str) -> rusqlite::Result<Work> {
        let rows = self.count(table, condition)?;
        Ok(Work::Rewrite { rows })
    }

    fn index(&self, table: &TableName) -> rusqlite::Result<Work> {
        let rows = self.count(table, ALL)?;
        Ok(Work::Index { rows })
    }

    fn count(&self, table: &TableName, condition: &str) -> rusqlite::Result<u64> {
        let sql = format!("SELECT count(*) FROM {table} WHERE {condition}");
        let rows: i64 = self.connection.query_row(&sql, [], |row| row.get(0))?;
        Ok(u64::try_from(rows).unwrap_or(0))
    }
}

/// The condition that every row meets.
const ALL: &str = "true";
