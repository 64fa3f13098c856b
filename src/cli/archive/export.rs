//! The work of `export`: reads sessions from a store, while a thread of its own writes what was read before.

use std::io;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread;

use super::format::Total;
use super::output::Output;
use super::writer::Writer;
use crate::cli::failure::Failure;
use crate::store::jobs::copy::{Source, SourceSession};
use crate::store::jobs::{Calls, Ended, Job};

/// How many parts may wait to be written: so many times what a source hands over at once.
const PARTS_AHEAD: usize = 2;

/// See the module's description.
pub(in crate::cli) struct Export {
    source: Mutex<Box<dyn Source>>,
    output: Mutex<Output>,
    /// What writing has failed with.
    failure: Mutex<Option<io::Error>>,
}

/// What was read, as it is passed on to be written.
enum Part {
    /// A session begins.
    Session(SourceSession),
    /// The JSON texts of its next events.
    Events(Vec<String>),
    /// The session with this id is over.
    End(String),
}

impl Export {
    pub(in crate::cli) fn new(source: Box<dyn Source>, output: Output) -> Self {
        Self {
            source: Mutex::new(source),
            output: Mutex::new(output),
            failure: Mutex::new(None),
        }
    }

    /// Where the sessions are, once the job is over; or what writing them has failed with, of which the job knows only that it was no
    /// use to go on.
    pub(in crate::cli) fn into_output(self) -> Result<Output, Failure> {
        let output = self.output.into_inner().unwrap_or_else(PoisonError::into_inner);
        match self.failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
            Some(error) => Err(output.failed(error)),
            None => Ok(output),
        }
    }

    fn read(&self, store: &dyn Calls<u64>, parts: &SyncSender<Part>, written: &AtomicU64) -> Result<(), Ended> {
        // Who writes has told why it does not any more.
        let pass_on = |part| parts.send(part).map_err(|_| Ended::Stopped);
        let mut source = self.source.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(session) = source.next_session()? {
            let id = session.id.clone();
            pass_on(Part::Session(session))?;
            while source.has_events()? {
                store.progress(&written.load(Ordering::Relaxed))?;
                pass_on(Part::Events(source.next_events()?))?;
            }
            pass_on(Part::End(id))?;
        }
        Ok(())
    }

    /// Writes what is read. `written` is how many events were.
    fn write(&self, parts: Receiver<Part>, written: &AtomicU64) -> Result<Total, Ended> {
        let mut output = self.output.lock().unwrap_or_else(PoisonError::into_inner);
        write(parts, &mut output, written).map_err(|error| {
            *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
            Ended::Stopped
        })
    }
}

fn write(parts: Receiver<Part>, output: &mut Output, written: &AtomicU64) -> io::Result<Total> {
    let mut writer = Writer::new(output);
    for part in parts {
        match part {
            Part::Session(session) => writer.begin(&session),
            Part::Events(events) => {
                events.iter().try_for_each(|event| writer.event(event))?;
                written.fetch_add(events.len() as u64, Ordering::Relaxed);
            }
            Part::End(id) => writer.end(&id)?,
        }
    }
    writer.finish()
}

impl Job for Export {
    /// How many events were written.
    type Progress = u64;
    type Result = Total;

    fn run(&self, store: &dyn Calls<u64>) -> Result<Total, Ended> {
        let written = &AtomicU64::new(0);
        let (parts, to_write) = sync_channel(PARTS_AHEAD);
        thread::scope(|scope| {
            let writing = scope.spawn(move || self.write(to_write, written));
            let read = self.read(store, &parts, written);
            // Without anybody to send parts it comes to its end.
            drop(parts);
            let total = writing.join().unwrap_or_else(|panic| resume_unwind(panic));
            read.and(total)
        })
    }
}
