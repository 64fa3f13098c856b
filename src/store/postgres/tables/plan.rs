//! What a migration would do: its steps, and what they mean for rows and for others. It only reads. The command line calls it, without
//! a store: one that may not migrate refuses tables that are not ready.

use std::collections::HashMap;
use std::time::Duration;

use tokio::runtime::Builder;
use tokio::task::LocalSet;
use tokio_postgres::Client;

use super::schema::{PostgresStep, Step};
use super::script::{misnumbered_sessions, script, script_of_empty};
use super::{Tables, catalog, schema};
use crate::store::error::{ErrorKind, StoreError};
use crate::store::message::StoreOption;
use crate::store::postgres::database::{Database, Purpose};
use crate::store::postgres::error::Failure;
use crate::store::postgres::options::PostgresOptions;
use crate::store::statistics::Statistics;
use crate::store::tables::TableName;
use crate::store::tables::plan::{MigrationPlan, Others, PlannedStep, Work};
use crate::store::tables::steps::Refusal;

/// How long the connection gets to say goodbye to the server.
const FAREWELL: Duration = Duration::from_secs(1);

/// Looks at the database. Blocks the thread until it has answered, or cannot be reached.
pub fn plan(options: PostgresOptions) -> Result<MigrationPlan, StoreError> {
    let runtime = Builder::new_current_thread().enable_all().build().map_err(|error| {
        StoreError::new(
            ErrorKind::Unavailable,
            format!("starting to connect failed: {error}; end programs that are not used"),
        )
    })?;
    let planned = LocalSet::new().block_on(&runtime, async {
        let database = Database::new(options, Statistics::new());
        let planned = plan_with(&database).await;
        database.close(FAREWELL).await;
        planned
    });
    // A look-up of a host's name cannot be stopped.
    runtime.shutdown_background();
    planned
}

/// What makes the tables in a schema that has none of ours, or that is not there yet.
pub fn creation(tables: &Tables) -> Result<MigrationPlan, StoreError> {
    let script = script_of_empty(tables).map_err(|refusal| refusal.into_error("a new schema", StoreOption::Schema))?;
    let planned = |step| PlannedStep {
        step,
        table: None,
        work: Work::Define,
        others: Others::ReadAndWrite,
    };
    Ok(MigrationPlan {
        settings: Vec::new(),
        steps: script.into_iter().map(planned).collect(),
    })
}

async fn plan_with(database: &Database) -> Result<MigrationPlan, StoreError> {
    let (tables, name) = (&database.options.tables, database.options.target.name());
    let look = database.run_unlimited(Purpose::Prepare, async |client| look(client, tables).await);
    let looked = tokio::select! {
        biased;
        looked = look => looked,
        failure = database.never_reached() => return Err(failure.into_error(&format!("connecting to {name}"))),
    };
    looked
        .map_err(|failure| failure.into_error(&format!("looking at the tables of {name}")))?
        .map_err(|refusal| refusal.into_error(name, StoreOption::Schema))
}

async fn look(client: &Client, tables: &Tables) -> Result<Result<MigrationPlan, Refusal>, Failure> {
    let steps = match schema::plan(client, tables).await? {
        Ok(steps) => steps,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let mut rows = RowCounts::new(client, tables);
    let mut planned = Vec::new();
    for (number, step) in script(client, tables, &steps).await?.into_iter().enumerate() {
        // What has no step is the version.
        let (table, work, others) = match steps.get(number) {
            Some(step) => impact(tables, step, &mut rows).await?,
            None => (Some(&tables.version), Work::Define, Others::ReadAndWrite),
        };
        planned.push(PlannedStep {
            step,
            table: table.map(|table| table.plain.clone()),
            work,
            others,
        });
    }
    Ok(Ok(MigrationPlan {
        settings: Vec::new(),
        steps: planned,
    }))
}

/// Which table the step works on, what it does with the rows, and what others can do.
async fn impact<'a>(
    tables: &'a Tables,
    step: &'a Step,
    rows: &mut RowCounts<'_>,
) -> Result<(Option<&'a TableName>, Work, Others), Failure> {
    let created = |table| Ok((Some(table), Work::Define, Others::ReadAndWrite));
    match step {
        Step::OfBackend(PostgresStep::CreateSchema) => Ok((None, Work::Define, Others::ReadAndWrite)),
        Step::CreateSessions => created(&tables.sessions),
        Step::CreateEvents => created(&tables.events),
        Step::CreateLabels => created(&tables.labels),
        Step::CreateDeleted => created(&tables.deleted),
        Step::AddColumn(table, _) => Ok((Some(table), Work::Define, Others::Wait)),
        Step::OfBackend(PostgresStep::ToJson(table, _)) => {
            let rows = rows.of(table).await?;
            Ok((Some(table), Work::Rewrite { rows }, Others::Wait))
        }
        Step::RepairIndexes => {
            let rows = rows.renumbered().await?;
            Ok((Some(&tables.events), Work::Rewrite { rows }, Others::Wait))
        }
        Step::UniquePlace => {
            let rows = rows.of(&tables.events).await?;
            Ok((Some(&tables.events), Work::Index { rows }, Others::Read))
        }
        Step::SessionOrder => {
            let rows = rows.of(&tables.sessions).await?;
            Ok((Some(&tables.sessions), Work::Index { rows }, Others::Read))
        }
    }
}

/// How many rows the tables have, each counted once.
struct RowCounts<'a> {
    client: &'a Client,
    tables: &'a Tables,
    counted: HashMap<String, u64>,
}

impl<'a> RowCounts<'a> {
    fn new(client: &'a Client, tables: &'a Tables) -> Self {
        Self {
            client,
            tables,
            counted: HashMap::new(),
        }
    }

    async fn of(&mut self, table: &TableName) -> Result<u64, Failure> {
        if let Some(rows) = self.counted.get(&table.plain) {
            return Ok(*rows);
        }
        let rows = self.count(&format!("SELECT pg_catalog.count(*) FROM {table}")).await?;
        self.counted.insert(table.plain.clone(), rows);
        Ok(rows)
    }

    /// How many events have their index written anew.
    async fn renumbered(&mut self) -> Result<u64, Failure> {
        let events = &self.tables.events;
        let found = catalog::tables(self.client, &self.tables.schema, &[&*events.plain]).await?;
        let found = found.get(&events.plain);
        let index = found.and_then(|found| found.columns.get("event_index"));
        if index.is_none_or(|index| index.data_type != "bigint") {
            return self.of(events).await;
        }
        let misnumbered = misnumbered_sessions(events);
        let sql = format!("SELECT pg_catalog.count(*) FROM {events} WHERE session_id IN ({misnumbered})");
        self.count(&sql).await
    }

    async fn count(&self, sql: &str) -> Result<u64, Failure> {
        let rows = self.client.query_typed(sql, &[]).await?;
        let count: i64 = rows.first().map_or(Ok(0), |row| row.try_get(0))?;
        Ok(u64::try_from(count).unwrap_or(0))
    }
}
