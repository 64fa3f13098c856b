//! Whether the user wants the command to end, which a signal says. `bindings::command_line` tells it, on another thread.

use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

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
        let told_before = self.code.swap(code, Ordering::Relaxed) != 0;
        told_before || self.asks.load(Ordering::Relaxed)
    }

    /// Whether an end is wanted.
    #[must_use]
    pub fn is_requested(&self) -> bool {
        self.code.load(Ordering::Relaxed) != 0
    }

    /// The exit code of a command that was ended.
    #[must_use]
    pub(super) fn code(&self) -> u8 {
        match self.code.load(Ordering::Relaxed) {
            0 => INTERRUPTED,
            code => code,
        }
    }

    /// Waits for the user, who may end the process meanwhile.
    pub(super) fn while_asking<R>(&self, ask: impl FnOnce() -> R) -> R {
        self.asks.store(true, Ordering::Relaxed);
        let answer = ask();
        self.asks.store(false, Ordering::Relaxed);
        answer
    }
}
