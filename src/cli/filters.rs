//! Which sessions a command is about: the filters of `listSessions`, as flags.

use std::collections::BTreeMap;

use super::failure::Failure;
use super::time;
use crate::store::error::Quoted;
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

    /// Only sessions created after this: 2026-01-31, 2026-01-31T12:00:00 (UTC), or so long ago: 30d, 12h
    #[arg(long, value_name = "TIME", value_parser = time::parse)]
    created_after: Option<i64>,

    /// Only sessions created before this
    #[arg(long, value_name = "TIME", value_parser = time::parse)]
    created_before: Option<i64>,

    /// Only sessions with this label; several may be given, and sessions have all of them
    #[arg(long = "label", value_name = "NAME=VALUE", value_parser = label)]
    labels: Vec<(String, String)>,
}

impl Filters {
    /// The filters, as lists take them.
    pub(super) fn filter(&self) -> Result<SessionFilter, Failure> {
        Ok(SessionFilter {
            agent: self.agent.clone(),
            sandbox_id: self.sandbox.clone(),
            destroyed: (self.destroyed || self.alive).then_some(self.destroyed),
            created_after: self.created_after,
            created_before: self.created_before,
            labels: by_name(&self.labels)?,
        })
    }
}

/// Labels by name, or what becomes of them. A name has one value: of two nobody knows which is meant.
pub(super) fn by_name<V: Clone>(labels: &[(String, V)]) -> Result<BTreeMap<String, V>, Failure> {
    let mut by_name = BTreeMap::new();
    for (name, value) in labels {
        if by_name.insert(name.clone(), value.clone()).is_some() {
            return Err(Failure::Usage(format!(
                "the label {} is given twice, and a session has one value of it: give it once",
                Quoted(name)
            )));
        }
    }
    Ok(by_name)
}

/// A label that is an argument: `name=value`.
pub(super) fn label(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write NAME=VALUE")?;
    labels::check(name, Some(value)).map_err(|error| error.to_string())?;
    Ok((name.to_owned(), value.to_owned()))
}
