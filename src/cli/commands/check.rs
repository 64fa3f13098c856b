//! `check`, also `doctor`: looks for damage and for settings that lose events.

use indicatif::HumanCount;
use serde::Serialize;

use crate::cli::Context;
use crate::cli::failure::Failure;
use crate::cli::jobs::run_job;
use crate::cli::numbers::counted;
use crate::cli::progress::{HowFar, Unit, is_watched};
use crate::cli::store::OpenStore;
use crate::cli::text::Printable;
use crate::store::access::Access;
use crate::store::check::{Finding, Severity};
use crate::store::error::StoreError;
use crate::store::jobs::check::Check;

/// See the help.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
It changes nothing, and goes through all sessions and events. What matters most comes first. The exit code is 1 where a finding is an \
error: something is damaged, or what was acknowledged may be lost. Warnings and what may be meant to be so leave it 0.

Examples:
  sandbox-agent-persist check
  sandbox-agent-persist doctor --json")]
pub(in crate::cli) struct Arguments {}

pub(in crate::cli) fn run(_: &Arguments, context: &mut Context<'_>) -> Result<(), Failure> {
    let store = context.store.open(Access::Read)?;
    let name = store.name.clone();
    let done = check(&store, context);
    let findings = store.close_after(done)?;
    if context.output.is_json() {
        for finding in &findings {
            context.output.json(finding)?;
        }
    } else if findings.is_empty() {
        context.output.line("nothing was found")?;
    } else {
        for finding in &findings {
            print(finding, context)?;
        }
    }
    let is_error = |finding: &&Finding| finding.severity == Severity::Error;
    match findings.iter().filter(is_error).count() {
        0 => Ok(()),
        errors => Err(Failure::Failed(format!(
            "{name} has {}: something is damaged, or events may be lost; each says what to do",
            counted(errors as u64, "error")
        ))),
    }
}

fn check(store: &OpenStore, context: &Context<'_>) -> Result<Vec<Finding>, Failure> {
    // Sessions are gone through twice: their records, and those of the events.
    let total = if is_watched() {
        let size = store.measure()?;
        u64::try_from(2 * size.sessions + size.events).ok()
    } else {
        None
    };
    run_job(&Check, &store.calls, context.stop, &|so_far| HowFar {
        done: so_far.rows,
        total,
        unit: Unit::Things("rows"),
    })
}

fn print(finding: &Finding, context: &mut Context<'_>) -> Result<(), Failure> {
    let [severity, code] = [word(&finding.severity)?, word(&finding.code)?];
    let table = finding.table.as_ref().map(|table| format!("table {table}"));
    let count = finding.count.map(|count| format!("{} of them", HumanCount(count)));
    let sessions = (!finding.session_ids.is_empty()).then(|| format!("sessions {}", finding.session_ids.join(", ")));
    let about: Vec<String> = [table, count, sessions].into_iter().flatten().collect();
    let about = match about.as_slice() {
        [] => String::new(),
        about => format!(" ({})", about.join("; ")),
    };
    context.output.line(format_args!(
        "{severity} {code}: {}{}",
        Printable(&finding.message),
        Printable(&about)
    ))?;
    context
        .output
        .line(format_args!("  what to do: {}", Printable(&finding.remedy)))
}

/// What JSON calls it.
fn word(value: &impl Serialize) -> Result<String, StoreError> {
    let text =
        serde_json::to_string(value).map_err(|error| StoreError::internal(&format!("writing JSON failed: {error}")))?;
    Ok(text.trim_matches('"').to_owned())
}
