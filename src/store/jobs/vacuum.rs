//! Gives the space of what was removed back to the file system.

use serde::Serialize;

use super::{Calls, Ended, Job, JobAnswer};
use crate::store::answer::Answer;
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
        let mut freed = Freed { bytes: 0 };
        loop {
            match store.write(UpkeepRequest::FreeSpace.into())? {
                Answer::OfJob(JobAnswer::Freed { bytes, is_more }) => {
                    freed.bytes += bytes;
                    if !is_more {
                        return Ok(freed);
                    }
                }
                answer => return Err(Ended::unexpected(&answer)),
            }
            store.progress(&freed)?;
        }
    }
}
