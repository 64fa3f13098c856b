//! Which sessions a command is about: the filters of `listSessions`, as flags.

use super::time;
use crate::store::labels;
use crate::store::list::SessionFilter;

/// Sessions that meet all that is given.
#[derive(Debug, clap::Args)]
pub(super) struct Filters {
    /// Only sessions of this agent, such as claude
    #[arg(long)]
    agent: Option<String>,

    /// Only sessions in this sandbox: provider/id
    #[arg(long, value_name = "ID")]
    sandbox: Option<String>,

    /// Only sessions that were destroyed
    #[arg(long, conflicts_with = "alive")]
    destroyed: bool,

    /// Only sessions that were not destroyed
    #[arg(long)]
    alive: bool,

    /// Only sessions created after this: 2026-01-31, 2026-01-31T12:00:00, or so long ago: 30d, 12h
    #[arg(long, value_name = "TIME", value_parser = time::parse)]
    created_after: Option<i64>,

    /// Only sessions created before this
    #[arg(long, value_name = "TIME", value_parser = time::parse)]
    created_before: Option<i64>,

    /// Only sessions with this label; may be given several times
    #[arg(long = "label", value_name = "NAME=VALUE", value_parser = label)]
    labels: Vec<(String, String)>,
}

impl Filters {
    /// The filters, as lists take them.
    pub(super) fn filter(&self) -> SessionFilter {
        SessionFilter {
            agent: self.agent.clone(),
            sandbox_id: self.sandbox.clone(),
            destroyed: (self.destroyed || self.alive).then_some(self.destroyed),
            created_after: self.created_after,
            created_before: self.created_before,
            labels: self.labels.iter().cloned().collect(),
        }
    }
}

/// A label that is an argument: `name=value`.
pub(super) fn label(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write NAME=VALUE")?;
    labels::check(name, Some(value)).map_err(|error| error.to_string())?;
    Ok((name.to_owned(), value.to_owned()))
}
