//! Running the jobs of commands.

use super::failure::Failure;
use super::progress::{HowFar, Progress};
use super::stop::Stop;
use super::store::NoCaller;
use crate::store::jobs::{Ended, Job, JobStore, OwnedCalls, Owner};

/// The user, who may end a job, and sees how far it is.
struct User<'a, P> {
    stop: &'a Stop,
    progress: Progress<'a, P>,
}

/// Runs a job. A line on stderr says how far it is, for those who wait longer than a second at a terminal.
pub(super) fn run_job<J: Job>(
    job: &J,
    store: &JobStore<NoCaller>,
    stop: &Stop,
    how_far: &dyn Fn(&J::Progress) -> HowFar,
) -> Result<J::Result, Failure> {
    let calls = OwnedCalls {
        store: store.clone(),
        owner: User {
            stop,
            progress: Progress::of(how_far),
        },
    };
    job.run(&calls).map_err(|ended| Failure::of_job(ended, stop))
}

impl<P> Owner<P> for User<'_, P> {
    fn check(&self) -> Result<(), Ended> {
        if self.stop.is_requested() {
            return Err(Ended::Stopped);
        }
        Ok(())
    }

    fn progress(&self, so_far: &P) -> Result<(), Ended> {
        self.progress.show(so_far);
        Ok(())
    }
}
