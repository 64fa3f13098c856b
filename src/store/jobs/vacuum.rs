//! Gives the space of what was removed back to the file system.

use std::time::Duration;

use serde::Serialize;

use super::turns::Turns;
use super::{Calls, Ended, Job};
use crate::store::answer::{Answer, JobAnswer};
use crate::store::upkeep::UpkeepRequest;

/// See the module's description.
#[derive(Debug)]
pub struct Vacuum;

/// How much space was given back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Freed {
    /// How many bytes.
    pub bytes: u64,
}

impl Job for Vacuum {
    type Progress = Freed;
    type Result = Freed;

    fn run(&self, store: &dyn Calls<Freed>) -> Result<Freed, Ended> {
        // It is over at once where steps do all there is to do.
        let (vacuumed, _) = freed(store, UpkeepRequest::Vacuum)?;
        if vacuumed > 0 {
            store.progress(&Freed { bytes: vacuumed })?;
        }
        let given_back = give_back(store, &mut Turns::default(), |so_far| {
            store.progress(&Freed {
                bytes: vacuumed + so_far,
            })
        })?;
        Ok(Freed {
            bytes: vacuumed + given_back,
        })
    }
}

/// Gives back in steps what can be given back so, and says how many bytes that were.
pub(super) fn give_back<P>(
    store: &dyn Calls<P>,
    turns: &mut Turns,
    mut progress: impl FnMut(u64) -> Result<(), Ended>,
) -> Result<u64, Ended> {
    let mut given_back = 0;
    loop {
        turns.begin();
        let (bytes, rest) = freed(store, UpkeepRequest::GiveBack)?;
        given_back += bytes;
        progress(given_back)?;
        let Some(took) = rest else {
            return Ok(given_back);
        };
        turns.end(took);
    }
}

/// How many bytes were freed, and how long that took if there is more.
fn freed<P>(store: &dyn Calls<P>, request: UpkeepRequest) -> Result<(u64, Option<Duration>), Ended> {
    match store.write(request.into())? {
        Answer::OfJob(JobAnswer::Freed { bytes, is_more, took }) => Ok((bytes, is_more.then_some(took))),
        answer => Err(Ended::unexpected(&answer)),
    }
}
