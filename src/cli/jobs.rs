//! Running the jobs of commands, and how far one is, on stderr.

use std::cell::Cell;
use std::fmt::Write;
use std::io::{self, IsTerminal};
use std::time::{Duration, Instant};

use indicatif::{HumanCount, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use super::failure::Failure;
use super::stop::Stop;
use super::store::NoCaller;
use crate::store::jobs::{Ended, Job, JobStore, OwnedCalls, Owner};

/// How long work takes at least that is worth a line about how far it is.
const PATIENCE: Duration = Duration::from_secs(1);

/// How far work is.
pub(super) struct HowFar {
    /// How much is done.
    pub(super) done: u64,
    /// How much there is to do, where that is known. It may be an estimate.
    pub(super) total: Option<u64>,
    /// What is counted.
    pub(super) unit: Unit,
}

/// What is counted of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    /// Bytes.
    Bytes,
    /// Things that are called so, in the plural.
    Things(&'static str),
}

/// The user, who may end a job, and sees how far it is.
struct User<'a, P> {
    stop: &'a Stop,
    progress: Option<Progress<'a, P>>,
}

/// A line on stderr about how far a job is, for those who wait longer than a second at a terminal.
struct Progress<'a, P> {
    began: Instant,
    bar: ProgressBar,
    is_shown: Cell<bool>,
    how_far: &'a dyn Fn(&P) -> HowFar,
}

/// Whether somebody sees how far a job is, so that counting what there is to do is worth its time.
pub(super) fn is_watched() -> bool {
    io::stderr().is_terminal()
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
            progress: is_watched().then(|| Progress::new(how_far)),
        },
    };
    let done = job.run(&calls);
    if let Some(progress) = &calls.owner.progress {
        progress.bar.finish_and_clear();
    }
    done.map_err(|ended| Failure::of_job(ended, stop))
}

impl<'a, P> Progress<'a, P> {
    fn new(how_far: &'a dyn Fn(&P) -> HowFar) -> Self {
        Self {
            began: Instant::now(),
            bar: ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden()),
            is_shown: Cell::new(false),
            how_far,
        }
    }

    fn show(&self, so_far: &P) {
        let how_far = (self.how_far)(so_far);
        if how_far.total != self.bar.length()
            && let Some(total) = how_far.total
        {
            self.bar.set_length(total);
        }
        self.bar.set_position(how_far.done);
        if !self.is_shown.get() && self.began.elapsed() >= PATIENCE {
            self.is_shown.set(true);
            self.bar.set_style(style(&how_far));
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
        }
    }
}

fn style(HowFar { total, unit, .. }: &HowFar) -> ProgressStyle {
    let (done, of, rate) = match unit {
        Unit::Bytes => ("{decimal_bytes}", "/{decimal_total_bytes}", "{decimal_bytes_per_sec}"),
        Unit::Things(_) => ("{human_pos}", "/{human_len}", "{per_second}/s"),
    };
    let things = match unit {
        Unit::Bytes => String::new(),
        Unit::Things(things) => format!(" {things}"),
    };
    let template = match total {
        Some(_) => format!("{{wide_bar}} {done}{of}{things} ({rate}, {{eta}} left)"),
        None => format!("{{spinner}} {done}{things} ({rate})"),
    };
    let style = ProgressStyle::with_template(&template).unwrap_or_else(|_| ProgressStyle::default_bar());
    // A rate needs no fractions.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // the cast saturates
    style.with_key("per_second", |state: &ProgressState, text: &mut dyn Write| {
        let _ = write!(text, "{}", HumanCount(state.per_sec() as u64));
    })
}

impl<P> Owner<P> for User<'_, P> {
    fn check(&self) -> Result<(), Ended> {
        if self.stop.is_requested() {
            return Err(Ended::Stopped);
        }
        Ok(())
    }

    fn progress(&self, so_far: &P) -> Result<(), Ended> {
        if let Some(progress) = &self.progress {
            progress.show(so_far);
        }
        Ok(())
    }
}
