//! `label`: sets, removes and lists a session's labels.

use std::collections::BTreeMap;

use crate::cli::Context;
use crate::cli::confirm::Confirmation;
use crate::cli::failure::Failure;
use crate::cli::filters::by_name;
use crate::cli::reading::labels_of;
use crate::cli::store::OpenStore;
use crate::cli::text::Printable;
use crate::store::ReadRequest;
use crate::store::access::Access;
use crate::store::error::Quoted;
use crate::store::labels::{self, LabelChanges};
use crate::store::single::SingleRequest;

/// See the help.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sandbox-agent-persist label my-session
  sandbox-agent-persist label my-session user=u1 project=web
  sandbox-agent-persist label my-session user= --yes")]
pub(in crate::cli) struct Arguments {
    /// The session's id
    id: String,

    /// What to set, or to remove where there is no value; without any, the labels are listed
    #[arg(value_name = "NAME=VALUE or NAME=", value_parser = change)]
    changes: Vec<(String, Option<String>)>,

    #[command(flatten)]
    confirmation: Confirmation,
}

pub(in crate::cli) fn run(arguments: &Arguments, context: &mut Context<'_>) -> Result<(), Failure> {
    let access = if arguments.changes.is_empty() {
        Access::Read
    } else {
        arguments.confirmation.check_can_ask()?;
        Access::Write
    };
    let store = context.store.open(access)?;
    let done = label(arguments, &store, context);
    let labels = store.close_after(done)?;
    if context.output.is_json() {
        return context.output.json(&labels);
    }
    labels.iter().try_for_each(|(name, value)| {
        context
            .output
            .line(format_args!("{}={}", Printable(name), Printable(value)))
    })
}

/// Changes labels, and comes back with all of them.
fn label(arguments: &Arguments, store: &OpenStore, context: &Context<'_>) -> Result<BTreeMap<String, String>, Failure> {
    store.check_has(&arguments.id)?;
    if !arguments.changes.is_empty() {
        let mut changes = LabelChanges::default();
        for (name, value) in by_name(&arguments.changes)? {
            changes.push(name, value)?;
        }
        let change = format!(
            "This {} of session {} in {}",
            words(&arguments.changes),
            Quoted(&arguments.id),
            store.name
        );
        arguments.confirmation.ask(&change, context)?;
        let session_id = arguments.id.clone();
        store
            .calls
            .write(SingleRequest::SetLabels { session_id, changes }.into())?;
    }
    let request = ReadRequest::GetLabels {
        session_id: arguments.id.clone(),
    };
    Ok(labels_of(&store.calls.read(request)?)?)
}

/// `sets the labels a=1, b=2 and removes the label c`
fn words(changes: &[(String, Option<String>)]) -> String {
    let set = changes
        .iter()
        .filter_map(|(name, value)| Some(format!("{name}={}", value.as_ref()?)));
    let removed = changes
        .iter()
        .filter(|(_, value)| value.is_none())
        .map(|(name, _)| name.clone());
    let part = |does: &str, labels: Vec<String>| match labels.as_slice() {
        [] => None,
        [label] => Some(format!("{does} the label {label}")),
        labels => Some(format!("{does} the labels {}", labels.join(", "))),
    };
    let parts = [part("sets", set.collect()), part("removes", removed.collect())];
    parts.into_iter().flatten().collect::<Vec<_>>().join(" and ")
}

/// An argument that says what becomes of a label.
fn change(text: &str) -> Result<(String, Option<String>), String> {
    let (name, value) = text.split_once('=').ok_or("write NAME=VALUE, or NAME= to remove it")?;
    let value = (!value.is_empty()).then(|| value.to_owned());
    labels::check(name, value.as_deref()).map_err(|error| error.to_string())?;
    Ok((name.to_owned(), value))
}
