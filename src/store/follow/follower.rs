//! One follower: what it asks for, and what it takes of what was found. [`super::Followers`] has them all.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::events::{Ask, Events};
use super::moment::Moment;
use super::progress::{Gap, Progress};

/// See the module's description.
#[derive(Debug)]
pub(super) struct Follower<T> {
    pub(super) session_id: Arc<str>,
    pub(super) progress: Progress,
    pub(super) stage: Stage,
    /// Whether it is in the line of those that read what was stored long before.
    pub(super) in_line: bool,
    pub(super) ticket: Option<T>,
}

/// How much a follower knows of what is stored after its position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// It reads what was stored before, page after page.
    Behind,
    /// It was at the end; something may have been written since.
    Stale,
    /// It is at the end, or at a gap that it waits for, and nothing has been written since.
    Current,
}

impl<T> Follower<T> {
    pub(super) fn new(session_id: Arc<str>, after: i64) -> Self {
        Self {
            session_id,
            progress: Progress::after(after),
            stage: Stage::Behind,
            in_line: false,
            ticket: None,
        }
    }

    /// What it asks for at its position: what comes next, or what is missing while it waits for that.
    pub(super) fn ask(&self, now: Instant, patience: Duration) -> Ask {
        match self.progress.waits_at(now, patience) {
            Some((gap, _)) => self.ask_within(gap),
            None => Ask {
                session_id: Arc::clone(&self.session_id),
                after: self.progress.position(),
                before: None,
            },
        }
    }

    pub(super) fn ask_within(&self, gap: Gap) -> Ask {
        Ask {
            session_id: Arc::clone(&self.session_id),
            after: gap.after,
            before: Some(gap.before),
        }
    }

    pub(super) fn waits_for(&self, ask: &Ask) -> bool {
        self.ticket.is_some() && (ask.after == self.progress.position() || self.passed_gap(ask).is_some())
    }

    /// The passed gap that was asked about.
    fn passed_gap(&self, ask: &Ask) -> Option<Gap> {
        let gap = Gap {
            after: ask.after,
            before: ask.before?,
        };
        self.progress.has_passed(gap).then_some(gap)
    }

    /// Takes what is its own of what was found, and says how many events of the first that is.
    pub(super) fn take(&mut self, ask: &Ask, events: &Events, now: Moment, patience: Duration) -> usize {
        let rows = events.rows();
        if let Some(gap) = self.passed_gap(ask) {
            if rows.is_empty() {
                return 0;
            }
            if self.ticket.is_none() || events.are_cut() {
                self.progress.look_again(now.instant);
                self.stage = self.stage.with_news();
            }
            if self.ticket.is_none() {
                return 0;
            }
            self.progress.take_late(gap, rows);
            return rows.len();
        }
        let nothing_came = ask.before.is_some() && rows.is_empty();
        if self.ticket.is_none() || ask.after != self.progress.position() || nothing_came {
            return 0;
        }
        let taken = self.progress.take(rows, now, patience);
        self.stage = if taken < rows.len() {
            Stage::Current
        } else if events.are_cut() {
            Stage::Behind
        } else if ask.before.is_some() {
            Stage::Stale
        } else {
            Stage::Current
        };
        taken
    }
}

impl Stage {
    fn with_news(self) -> Self {
        match self {
            Self::Behind => Self::Behind,
            Self::Stale | Self::Current => Self::Stale,
        }
    }
}
