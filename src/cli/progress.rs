//! How far work is, as a line on stderr: for those who wait longer than a second at a terminal.

use std::cell::Cell;
use std::fmt::Write;
use std::io::{self, IsTerminal};
use std::time::{Duration, Instant};

use indicatif::{HumanCount, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

/// How long work takes at least that is worth a line.
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

/// See the module's description. The line goes with it.
pub(super) struct Progress<'a, P> {
    /// Nothing, where nobody sees it.
    line: Option<Line>,
    how_far: &'a dyn Fn(&P) -> HowFar,
}

struct Line {
    began: Instant,
    bar: ProgressBar,
    is_shown: Cell<bool>,
}

/// Whether somebody sees how far work is, so that counting what there is to do is worth its time.
pub(super) fn is_watched() -> bool {
    io::stderr().is_terminal()
}

impl<'a, P> Progress<'a, P> {
    /// Of work that begins now.
    pub(super) fn of(how_far: &'a dyn Fn(&P) -> HowFar) -> Self {
        let line = || Line {
            began: Instant::now(),
            bar: ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden()),
            is_shown: Cell::new(false),
        };
        Self {
            line: is_watched().then(line),
            how_far,
        }
    }

    /// Shows how far it is.
    pub(super) fn show(&self, so_far: &P) {
        if let Some(line) = &self.line {
            line.show(&(self.how_far)(so_far));
        }
    }
}

impl Line {
    fn show(&self, how_far: &HowFar) {
        if how_far.total != self.bar.length()
            && let Some(total) = how_far.total
        {
            self.bar.set_length(total);
        }
        self.bar.set_position(how_far.done);
        if !self.is_shown.get() && self.began.elapsed() >= PATIENCE {
            self.is_shown.set(true);
            self.bar.set_style(style(how_far));
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
        }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
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
