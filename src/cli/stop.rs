//! Whether the user wants the command to end, which a signal says. `bindings::command_line` tells it, on another thread.

use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use super::stderr;

/// Ended by Ctrl-C, as shells have it: 128 and the signal's number.
const INTERRUPTED: u8 = 130;

/// See the module's description.
#[derive(Debug, Default)]
pub struct Stop {
    /// The exit code; 0 while nobody wants an end.
    code: AtomicU8,
    /// The command waits for the user, and has done nothing.
    asks: AtomicBool,
}

impl Stop {
    /// Wants the command to end with this exit code. Whether the process may end at once: the command waits for the user, or was
    /// told before.
    pub fn request(&self, code: u8) -> bool {
        let told_before = self.code.swap(code, Ordering::SeqCst) != 0;
        let asks = self.asks.load(Ordering::SeqCst);
        if asks {
            // What is shown next does not belong to the question.
            stderr::say("");
        }
        told_before || asks
    }

    /// Whether an end is wanted.
    #[must_use]
    pub fn is_requested(&self) -> bool {
        self.code.load(Ordering::SeqCst) != 0
    }

    /// The exit code of a command that was ended.
    #[must_use]
    pub(super) fn code(&self) -> u8 {
        match self.code.load(Ordering::SeqCst) {
            0 => INTERRUPTED,
            code => code,
        }
    }

    /// Waits for the user, who may end the process meanwhile. Nothing, where an end was wanted before or while it waited.
    pub(super) fn while_asking<R>(&self, ask: impl FnOnce() -> R) -> Option<R> {
        self.asks.store(true, Ordering::SeqCst);
        let answer = (!self.is_requested()).then(ask);
        self.asks.store(false, Ordering::SeqCst);
        answer.filter(|_| !self.is_requested())
    }
}
