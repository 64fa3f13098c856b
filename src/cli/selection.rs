//! Which sessions are taken out of a store: those with these ids, those that meet filters, or all. `copy` and `export` take them.

use std::collections::HashSet;

use super::failure::Failure;
use super::filters::Filters;
use super::numbers::counted;
use super::stop::Stop;
use super::store::OpenStore;
use crate::store::error::Quoted;
use crate::store::jobs::copy::{Selection, first_absent};
use crate::store::list::SessionFilter;

/// The arguments that say which.
#[derive(Debug, clap::Args)]
pub(super) struct Selected {
    /// The ids of sessions; without any, all that meet the filters
    #[arg(value_name = "ID", conflicts_with = "Filters")]
    ids: Vec<String>,

    #[command(flatten)]
    filters: Filters,
}

/// The sessions that are meant.
pub(super) struct Chosen {
    pub(super) selection: Selection,
    /// The same in words.
    pub(super) words: String,
    /// How many events they have about, where that is known.
    pub(super) events: Option<u64>,
}

impl Selected {
    /// The sessions of this store that are meant. An id that is not there is an error.
    pub(super) fn choose(&self, store: &OpenStore, stop: &Stop) -> Result<Chosen, Failure> {
        if !self.ids.is_empty() {
            let mut seen = HashSet::new();
            let ids: Vec<String> = self.ids.iter().filter(|id| seen.insert(*id)).cloned().collect();
            if let Some(absent) = first_absent(&store.calls, &ids).map_err(|ended| Failure::of_job(ended, stop))? {
                return Err(store.has_no(absent));
            }
            let quoted: Vec<String> = ids.iter().map(|id| Quoted(id).to_string()).collect();
            return Ok(Chosen {
                words: format!("session {}", quoted.join(", ")),
                selection: Selection::Ids(ids),
                events: None,
            });
        }
        let filter = self.filters.filter()?;
        if filter != SessionFilter::default() {
            return Ok(Chosen {
                selection: Selection::Filtered(filter),
                words: String::from("the sessions that meet the filters"),
                events: None,
            });
        }
        let size = store.measure()?;
        let count = |rows: i64| u64::try_from(rows).unwrap_or(0);
        let events = count(size.events);
        Ok(Chosen {
            selection: Selection::All,
            words: format!(
                "all sessions (about {}, with {})",
                counted(count(size.sessions), "session"),
                counted(events, "event")
            ),
            events: Some(events),
        })
    }
}
