//! Compaction of a session: what one step is asked for, what it does, and what it answers, once for both backends. The job of that
//! name ([`super::jobs::compact`]) takes one step after another, [`super::transcript`] says which events are joined.

use std::time::Duration;

use super::mode::Mode;
use super::time::now;
use super::transcript::{Joiner, Message, Row, Run};

/// A payload that takes more bytes is none of a chunk that could be joined: databases need not read it.
pub const MAX_PAYLOAD_BYTES: i64 = 4 << 20;

/// How many events are looked at for a piece of what only reads.
pub const ROWS_AT_ONCE: i64 = 1_000;

/// What most events have in their payload, as `JSON.stringify` writes it and as `jsonb` does. None that begins or ends a turn has it, so
/// that these need not be read. (The name alone may be the text of a prompt.)
pub const UPDATE_LITERALS: [&str; 2] = [r#""method":"session/update""#, r#""method": "session/update""#];

/// Which events of a session one step looks at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompactionStep {
    /// The session's id.
    pub session_id: String,
    /// Where it begins.
    pub start: Start,
    /// The last event that it may look at.
    pub end: LastEvent,
}

/// Where a step begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// At the first event with this index or a higher one.
    Index(i64),
    /// At the event with which the run of the step before ended, since more may belong to it.
    Run {
        /// That event's index.
        last: i64,
        /// How much text comes before that event's own, in bytes, where it was not stored with it.
        earlier_bytes: u32,
    },
}

impl Start {
    /// The lowest index that the step looks at.
    #[must_use]
    pub fn index(self) -> i64 {
        match self {
            Self::Index(index) | Self::Run { last: index, .. } => index,
        }
    }
}

/// The event up to which a session may be compacted. When it is not there any more, the session is another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastEvent {
    /// Its place in the session.
    pub index: i64,
    /// Its id.
    pub id: String,
}

/// Messages of a session that begin or end turns, from the newest to the oldest.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FoundMessages {
    /// The newest event that was looked at, whatever it is. There is none, if there are no events.
    pub newest: Option<LastEvent>,
    /// The messages among the events that were looked at.
    pub messages: Vec<Message>,
    /// The index of the oldest event that was looked at, if there may be older ones.
    pub oldest: Option<i64>,
}

/// What came of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StepDone {
    /// How many events it has looked at.
    pub events: u64,
    /// How many of these are gone.
    pub removed: u64,
    /// How many bytes of JSON text are.
    pub bytes: u64,
    /// Where the next step begins, if there is more.
    pub next: Option<Start>,
    /// How long it took, so long as nobody else could write.
    pub took: Duration,
}

/// The events that a step reads, and what is to be done with them.
#[derive(Debug)]
pub struct Plan {
    start: Start,
    mode: Mode,
    joiner: Joiner,
    runs: Vec<Run>,
    done: StepDone,
    last: Option<i64>,
}

impl Plan {
    /// For a step that begins there.
    #[must_use]
    pub fn new(start: Start, mode: Mode) -> Self {
        Self {
            start,
            mode,
            joiner: Joiner::new(now(), 0),
            runs: Vec::new(),
            done: StepDone::default(),
            last: None,
        }
    }

    /// Takes the next event.
    pub fn push(&mut self, row: &Row<'_>) {
        match self.start {
            // The step before has counted it.
            Start::Run { last, earlier_bytes } if last == row.index => {
                self.joiner = Joiner::new(now(), earlier_bytes as usize);
            }
            _ => self.done.events += 1,
        }
        self.runs.extend(self.joiner.push(row));
        self.last = Some(row.index);
    }

    /// Ends with the events that have come; `is_more` says whether the step could have looked at others. Comes back with the runs to
    /// be joined, in their order.
    #[must_use]
    pub fn finish(self, is_more: bool) -> (Vec<Run>, StepDone) {
        let Self {
            mode,
            joiner,
            mut runs,
            mut done,
            last,
            ..
        } = self;
        let (run, open) = joiner.finish();
        runs.extend(run);
        done.removed = runs.iter().map(|run| run.removed).sum();
        done.bytes = runs.iter().map(|run| run.saved_bytes).sum();
        done.next = match (last, open) {
            _ if !is_more => None,
            (_, Some(open)) => Some(Start::Run {
                last: open.last,
                earlier_bytes: match mode {
                    Mode::Run => 0,
                    Mode::DryRun => u32::try_from(open.earlier_bytes).unwrap_or(u32::MAX),
                },
            }),
            (last, None) => last.and_then(|last| last.checked_add(1)).map(Start::Index),
        };
        (runs, done)
    }
}
