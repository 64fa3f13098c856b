//! A store that is open, as commands and their jobs call it; and how far a job is, on stderr.

use std::cell::OnceCell;
use std::io::{self, IsTerminal};
use std::sync::Arc;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use super::failure::Failure;
use super::stop::Stop;
use crate::store::error::StoreError;
use crate::store::jobs::{Calls, Ended, Job, JobStore, Pending};
use crate::store::upkeep::UpkeepRequest;
use crate::store::write::WriteRequest;
use crate::store::{Answer, ReadRequest};

/// How long work takes at least that is worth a line about how far it is.
const PATIENCE: Duration = Duration::from_secs(1);

/// Who calls the store beside jobs: nobody.
#[derive(Debug)]
pub(super) enum NoCaller {}

/// What a job has of the store.
pub(super) struct JobCalls<'a, P> {
    store: &'a JobStore<NoCaller>,
    stop: &'a Arc<Stop>,
    progress: Progress<'a, P>,
}

/// A line on stderr about how far a job is, for those who wait longer than a second at a terminal.
struct Progress<'a, P> {
    began: Instant,
    bar: OnceCell<ProgressBar>,
    total: Option<u64>,
    position: &'a dyn Fn(&P) -> u64,
}

/// Runs a job. `total` is how much there is to do, where that is known, and `position` how much of it is done.
pub(super) fn run_job<J: Job>(
    job: &J,
    store: &JobStore<NoCaller>,
    stop: &Arc<Stop>,
    total: Option<u64>,
    position: &dyn Fn(&J::Progress) -> u64,
) -> Result<J::Result, Failure> {
    let calls = JobCalls {
        store,
        stop,
        progress: Progress {
            began: Instant::now(),
            bar: OnceCell::new(),
            total,
            position,
        },
    };
    let done = job.run(&calls);
    if let Some(bar) = calls.progress.bar.get() {
        bar.finish_and_clear();
    }
    done.map_err(|ended| Failure::of_job(ended, stop.code()))
}

impl<P> Progress<'_, P> {
    fn show(&self, so_far: &P) {
        if self.began.elapsed() < PATIENCE || !io::stderr().is_terminal() {
            return;
        }
        let bar = self.bar.get_or_init(|| {
            let template = match self.total {
                Some(_) => "{wide_bar} {human_pos}/{human_len} ({per_sec}, {eta} left)",
                None => "{spinner} {human_pos} ({per_sec})",
            };
            let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
            let bar = self
                .total
                .map_or_else(ProgressBar::no_length, ProgressBar::new)
                .with_style(style);
            bar.with_elapsed(self.began.elapsed())
        });
        bar.set_position((self.position)(so_far));
    }
}

impl<P> JobCalls<'_, P> {
    fn check(&self) -> Result<(), Ended> {
        if self.stop.is_requested() {
            return Err(Ended::Stopped);
        }
        Ok(())
    }

    fn call<R>(&self, call: impl FnOnce(&JobStore<NoCaller>) -> Result<R, StoreError>) -> Result<R, Ended> {
        self.check()?;
        Ok(call(self.store)?)
    }
}

impl<P> Calls<P> for JobCalls<'_, P> {
    fn ready(&self) -> Result<(), Ended> {
        self.call(JobStore::ready)
    }

    fn write(&self, request: WriteRequest) -> Result<Answer, Ended> {
        self.call(|store| store.write(request))
    }

    fn begin(&self, request: WriteRequest) -> Result<Pending, Ended> {
        self.check()?;
        Ok(self.store.begin(request))
    }

    fn read(&self, request: ReadRequest) -> Result<Answer, Ended> {
        self.call(|store| store.read(request))
    }

    fn clean_up(&self, request: UpkeepRequest) -> Result<Answer, Ended> {
        Ok(self.store.write(request.into())?)
    }

    fn progress(&self, so_far: &P) -> Result<(), Ended> {
        self.check()?;
        self.progress.show(so_far);
        Ok(())
    }
}
