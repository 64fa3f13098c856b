//! `migrate`: makes the tables ready, or says how.

use serde::Serialize;

use crate::cli::Context;
use crate::cli::confirm::Confirmation;
use crate::cli::failure::Failure;
use crate::cli::numbers::counted;
use crate::cli::schema::Lacking;
use crate::cli::text::Printable;
use crate::store::access::Access;
use crate::store::postgres::Role;
use crate::store::tables::plan::{MigrationPlan, Others, PlannedStep, SqlStep, Work};

/// See the help.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The steps are one transaction: one that fails or is ended leaves all tables as they were.

Examples:
  sandbox-agent-persist migrate --plan
  sandbox-agent-persist migrate --yes
  sandbox-agent-persist migrate --sql --role app --store postgres:/// > app.sql
  sandbox-agent-persist migrate --plan --sql > missing.sql")]
pub(in crate::cli) struct Arguments {
    /// Change nothing: print the steps, the SQL of each, and which rows are rewritten and who waits meanwhile
    #[arg(long)]
    plan: bool,

    /// Change nothing: print SQL for a database administrator
    ///
    /// It makes new tables and lets a role use them, and is printed without a connection: of --store nothing but the schema matters.
    /// With --plan it is the SQL of what the tables of this store lack.
    #[arg(long)]
    sql: bool,

    /// With --sql: the role that is to read and write rows, and nothing else
    #[arg(long, value_name = "NAME", requires = "sql", default_value = "app", value_parser = Role::parse)]
    role: Role,

    #[command(flatten)]
    confirmation: Confirmation,
}

/// What was done.
#[derive(Serialize)]
struct Migrated<'a> {
    steps: Vec<&'a str>,
}

pub(in crate::cli) fn run(arguments: &Arguments, context: &mut Context<'_>) -> Result<(), Failure> {
    match (arguments.plan, arguments.sql) {
        (false, false) => migrate(&arguments.confirmation, context),
        (true, false) => {
            let lacking = context.store.lacking()?;
            print_plan(&lacking, context)
        }
        (false, true) => {
            let plan = context.store.lacking_when_new()?;
            print_sql(&plan, &arguments.role, context)
        }
        (true, true) => {
            let lacking = context.store.lacking()?;
            print_sql(&lacking.plan, &arguments.role, context)
        }
    }
}

fn migrate(confirmation: &Confirmation, context: &mut Context<'_>) -> Result<(), Failure> {
    let Lacking { store, plan } = context.store.lacking()?;
    if !plan.is_empty() {
        confirmation.ask(&change(&store, &plan), context)?;
        context.store.open(Access::Migrate)?.close()?;
    }
    if context.output.is_json() {
        let steps = plan.all().map(|planned| &*planned.step.step).collect();
        return context.output.json(&Migrated { steps });
    }
    context.output.line(format_args!("the tables of {store} are ready"))
}

/// What will be changed, as it is asked.
fn change(store: &str, plan: &MigrationPlan) -> String {
    let steps: Vec<&str> = plan.all().map(|planned| &*planned.step.step).collect();
    let rewritten = plan.all().filter_map(|planned| match planned.work {
        Work::Rewrite { rows } => Some(rows),
        Work::Define | Work::Index { .. } => None,
    });
    let waiting = match rewritten.sum::<u64>() {
        0 => String::new(),
        rows => format!(" ({rows} rows are rewritten, while others wait; --plan says more)"),
    };
    format!("This makes the tables of {store} ready: {}{waiting}", steps.join("; "))
}

fn print_plan(Lacking { store, plan }: &Lacking, context: &mut Context<'_>) -> Result<(), Failure> {
    let output = &mut *context.output;
    if output.is_json() {
        return plan.all().try_for_each(|planned| output.json(planned));
    }
    if plan.is_empty() {
        return output.line(format_args!("the tables of {store} are ready: there is nothing to do"));
    }
    output.line(format_args!("`migrate` would do this to {store}:"))?;
    for (number, planned) in plan.all().enumerate() {
        output.line(format_args!("\n{}. {}", number + 1, Printable(&planned.step.step)))?;
        output.line(format_args!("   {}", Printable(&effect(planned))))?;
        for line in planned.step.batch().lines() {
            output.line(format_args!("     {}", Printable(line)))?;
        }
    }
    if !plan.steps.is_empty() {
        let from = plan.settings.len() + 1;
        output.line(format_args!(
            "\nFrom step {from} on, all is one transaction: whoever waits does so until its end."
        ))?;
    }
    Ok(())
}

/// What a step means for rows and for others.
fn effect(
    PlannedStep {
        table, work, others, ..
    }: &PlannedStep,
) -> String {
    let rows = match work {
        Work::Define => String::from("no row is read or written"),
        Work::Index { rows } => format!("reads {} for an index", counted(*rows, "row")),
        Work::Rewrite { rows } => format!("rewrites {}", counted(*rows, "row")),
    };
    let others = match others {
        Others::ReadAndWrite => "others read and write as before",
        Others::Read => "others can read, and wait to write",
        Others::Wait => "others wait to read and to write",
    };
    match table {
        Some(table) => format!("table {table}: {rows}; {others}"),
        None => format!("{rows}; {others}"),
    }
}

fn print_sql(plan: &MigrationPlan, role: &Role, context: &mut Context<'_>) -> Result<(), Failure> {
    let grants = context.store.grants(role)?;
    let steps = |planned: &'_ [PlannedStep]| planned.iter().map(|planned| planned.step.clone()).collect::<Vec<_>>();
    let (settings, mut in_transaction) = (steps(&plan.settings), steps(&plan.steps));
    in_transaction.extend(grants);
    let output = &mut *context.output;
    if output.is_json() {
        let mut all = settings.iter().chain(&in_transaction);
        return all.try_for_each(|step| output.json(step));
    }
    settings.iter().try_for_each(|step| output.script(&commented(step)))?;
    output.script("BEGIN;\n")?;
    in_transaction
        .iter()
        .try_for_each(|step| output.script(&commented(step)))?;
    output.script("COMMIT;\n")
}

/// The statements of a step, below a comment that says what they are for.
fn commented(step: &SqlStep) -> String {
    // It must not end before its line does, whatever is in the name of a role.
    format!("-- {}\n{}", Printable(&step.step), step.batch())
}
