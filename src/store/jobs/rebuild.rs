//! Makes the table of events one like those that we make, beside its writers.

use std::thread;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::{Calls, Ended, Job};
use crate::store::answer::{Answer, JobAnswer};
use crate::store::check::{Look, Place};
use crate::store::error::{ErrorKind, StoreError};
use crate::store::rebuild::{Outcome, RebuildRequest, RebuildStep, Rebuilt};
use crate::store::upkeep::UpkeepRequest;

/// The longest pause between two steps.
const LONGEST_PAUSE: Duration = Duration::from_millis(20);

/// How often a step is tried for which somebody must let go of the table, and the pause between two tries.
const TRIES: u32 = 120;
const PAUSE: Duration = Duration::from_millis(500);

/// See the module's description.
#[derive(Debug)]
pub struct Rebuild {
    /// No other rebuild has the same.
    id: String,
}

/// What was copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Copied {
    /// How many events.
    pub events: u64,
    /// The bytes of their JSON text.
    pub bytes: u64,
}

impl Job for Rebuild {
    type Progress = Copied;
    type Result = Copied;

    fn run(&self, store: &dyn Calls<Copied>) -> Result<Copied, Ended> {
        let copied = self.rebuild(store);
        if copied.is_err() {
            // A process that cannot do even that leaves the rest to the next rebuild.
            while let Ok(true) = self.clear_some(|request| store.clean_up(request)) {}
        }
        copied
    }
}

impl Rebuild {
    /// A rebuild with an id that no other has.
    #[must_use]
    pub fn new(id: String) -> Self {
        Self { id }
    }

    fn rebuild(&self, store: &dyn Calls<Copied>) -> Result<Copied, Ended> {
        let mut copied = Copied::default();
        self.step(store, RebuildStep::TakeOver)?;
        self.clear(store)?;
        refuse_unplaced(store)?;
        if self.begin(store)? == Outcome::Fresh {
            return Ok(copied);
        }
        let mut after: Option<Place> = None;
        loop {
            let Outcome::Copied { events, bytes, last } = self.step(store, RebuildStep::Copy(after.take()))? else {
                return Err(StoreError::internal("a rebuild copied nothing").into());
            };
            copied.events += events;
            copied.bytes += bytes;
            store.progress(&copied)?;
            after = last;
            if after.is_none() {
                break;
            }
        }
        self.switch(store)?;
        self.clear(store)?;
        Ok(copied)
    }

    fn begin(&self, store: &dyn Calls<Copied>) -> Result<Outcome, Ended> {
        for _ in 0..TRIES {
            match self.step(store, RebuildStep::Begin)? {
                Outcome::Held => thread::sleep(PAUSE),
                outcome => return Ok(outcome),
            }
        }
        Err(held())
    }

    fn switch(&self, store: &dyn Calls<Copied>) -> Result<(), Ended> {
        for _ in 0..TRIES {
            while self.step(store, RebuildStep::CatchUp)? == Outcome::More {}
            match self.step(store, RebuildStep::Switch)? {
                Outcome::Done => return Ok(()),
                Outcome::Held => thread::sleep(PAUSE),
                _ => {}
            }
        }
        Err(held())
    }

    fn clear(&self, store: &dyn Calls<Copied>) -> Result<(), Ended> {
        while self.clear_some(|request| store.write(request.into()))? {}
        Ok(())
    }

    fn clear_some(&self, call: impl Fn(UpkeepRequest) -> Result<Answer, Ended>) -> Result<bool, Ended> {
        Ok(self.step_by(RebuildStep::Clear, call)? == Outcome::More)
    }

    fn step(&self, store: &dyn Calls<Copied>, step: RebuildStep) -> Result<Outcome, Ended> {
        self.step_by(step, |request| store.write(request.into()))
    }

    /// Does a step, and leaves those who write as much time after it as it took. While changes are caught up with it is a quarter, or
    /// as many would come as are copied.
    fn step_by(
        &self,
        step: RebuildStep,
        call: impl Fn(UpkeepRequest) -> Result<Answer, Ended>,
    ) -> Result<Outcome, Ended> {
        let began = Instant::now();
        let share = if step == RebuildStep::CatchUp { 4 } else { 1 };
        let request = RebuildRequest {
            id: self.id.clone(),
            step,
        };
        match call(UpkeepRequest::Rebuild(request))? {
            Answer::OfJob(JobAnswer::Rebuilt(rebuilt)) => {
                let Rebuilt { outcome, is_contended } = *rebuilt;
                if is_contended && outcome != Outcome::Done {
                    thread::sleep((began.elapsed() / share).min(LONGEST_PAUSE));
                }
                Ok(outcome)
            }
            answer => Err(Ended::unexpected(&answer)),
        }
    }
}

/// Nobody let go of the table.
fn held() -> Ended {
    StoreError::new(
        ErrorKind::Busy,
        "rebuilding the table of events failed: other transactions held it all the time; nothing was changed, end them and call again",
    )
    .into()
}

/// An event without a place could not be copied.
fn refuse_unplaced(store: &dyn Calls<Copied>) -> Result<(), Ended> {
    match store.read(crate::store::ReadRequest::Check(Look::Unplaced))? {
        Answer::OfJob(JobAnswer::Looked(looked)) if looked.findings.is_empty() => Ok(()),
        Answer::OfJob(JobAnswer::Looked(_)) => Err(StoreError::new(
            ErrorKind::Corrupt,
            "rebuilding the table of events failed: there are events without a session or an index, which another program must have \
             written; a check tells how many, mend or delete them and call again",
        )
        .into()),
        answer => Err(Ended::unexpected(&answer)),
    }
}
