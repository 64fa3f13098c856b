//! What happens in a store, told to whoever listens: collected here, and taken by `bindings` with the next answers.
//!
//! Nothing is collected while nobody listens. A notice holds ids, times and our own texts, and never what somebody stores.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use serde::Serialize;

use super::message::{Message, StoreOption};
use super::operation::Operation;

/// How many notices wait at most. When the listener's thread does not take them, what comes then is not told.
const MOST: usize = 10_000;

/// Something that has happened.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(
    tag = "channel",
    content = "message",
    rename_all = "camelCase",
    rename_all_fields = "camelCase"
)]
pub enum Notice {
    /// Writes are on disk, as one batch.
    Commit {
        /// How many.
        writes: u64,
        /// How much JSON text they have.
        bytes: u64,
        /// How long the batch took.
        duration_ms: f64,
    },
    /// An event was stored at another index than the one it asked for.
    Reassigned {
        /// Its session.
        session_id: String,
        /// The index that it is stored at.
        event_index: i64,
    },
    /// What was sent to the database is tried again.
    Retry {
        /// The code of the error that the call would fail with if nothing helped.
        code: &'static str,
        /// Why the try before has failed.
        reason: String,
    },
    /// There is a connection again, after one broke.
    Reconnected {
        /// How long that took.
        duration_ms: f64,
    },
    /// A call took long.
    Slow {
        /// What it did.
        operation: Operation,
        /// The session that it was about, if it was about one.
        #[serde(skip_serializing_if = "Option::is_none")]
        session_id: Option<String>,
        /// How long it took.
        duration_ms: f64,
    },
    /// Something needs a person's eyes.
    Warning(Warning),
}

/// Something that needs a person's eyes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Warning {
    /// What it is about.
    pub code: WarningCode,
    /// What is wrong, and what to do.
    pub message: String,
}

/// What a warning is about: programs tell warnings apart by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum WarningCode {
    /// What was written to a deleted session was removed again.
    LateWritesRemoved,
    /// What was written to a deleted session could not be removed.
    LateWritesKept,
    /// The server does not let us see which sessions others have deleted.
    DeletionsUnseen,
    /// The write-ahead log grows and is not folded into the file.
    LogNotShrinking,
    /// What is over a cap could not be removed.
    CapNotKept,
}

/// The notices that nobody has taken yet.
#[derive(Default)]
pub struct Notices {
    listened: AtomicBool,
    waiting: Mutex<Vec<Notice>>,
    listener: OnceLock<Listener>,
}

/// Who takes notices.
pub struct Listener {
    /// Has them taken soon, when no answer does it.
    pub wake: Box<dyn Fn() + Send + Sync>,
    /// What the listener calls the options that a text names.
    pub name: fn(StoreOption) -> &'static str,
}

impl Notices {
    /// Says whether anybody listens now.
    pub fn listen(&self, listened: bool) {
        self.listened.store(listened, Ordering::Relaxed);
        if !listened {
            self.waiting().clear();
        }
    }

    /// Whether anybody does.
    fn are_listened_to(&self) -> bool {
        self.listened.load(Ordering::Relaxed)
    }

    /// Says who takes them: the first who says so, since a store has one caller.
    pub fn attach(&self, listener: Listener) {
        let _ = self.listener.set(listener);
    }

    /// The text of a message, in the listener's words.
    #[must_use]
    pub fn text(&self, message: &Message) -> String {
        match self.listener.get() {
            Some(listener) => message.text(listener.name),
            None => message.to_string(),
        }
    }

    /// Tells of something for which an answer is on its way.
    pub fn tell(&self, notice: impl FnOnce() -> Notice) {
        if self.are_listened_to() {
            self.put(notice());
        }
    }

    /// Tells of something for which there may be no answer for long.
    pub fn tell_at_once(&self, notice: impl FnOnce() -> Notice) {
        if self.are_listened_to() {
            self.put(notice());
            if let Some(listener) = self.listener.get() {
                (listener.wake)();
            }
        }
    }

    /// Takes all that wait.
    #[must_use]
    pub fn take(&self) -> Vec<Notice> {
        // A flag is read without a lock: nothing was put before anybody listened.
        if self.are_listened_to() {
            std::mem::take(&mut *self.waiting())
        } else {
            Vec::new()
        }
    }

    fn put(&self, notice: Notice) {
        let mut waiting = self.waiting();
        if waiting.len() < MOST {
            waiting.push(notice);
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Vec<Notice>> {
        // No code under this lock can leave the list half changed.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Notices {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = formatter.debug_struct("Notices");
        shown.field("listened", &self.are_listened_to()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn retry(reason: &str) -> Notice {
        Notice::Retry {
            code: "ERR_PERSIST_UNAVAILABLE",
            reason: reason.into(),
        }
    }

    #[test]
    fn nothing_is_kept_or_even_made_while_nobody_listens() {
        let notices = Notices::default();
        notices.tell(|| unreachable!("nobody listens"));
        notices.listen(true);
        notices.tell(|| retry("heard"));
        assert_eq!(notices.take(), [retry("heard")]);
        assert_eq!(notices.take(), []);
    }

    #[test]
    fn a_listener_that_takes_nothing_costs_no_more_than_a_bound() {
        let notices = Notices::default();
        notices.listen(true);
        for _ in 0..MOST + 5 {
            notices.tell(|| retry("again"));
        }
        assert_eq!(notices.take().len(), MOST);
    }

    #[test]
    #[allow(clippy::unwrap_used)]
    fn their_text_is_what_is_sent() {
        let text = |notice: &Notice| serde_json::to_string(notice).unwrap();
        assert_eq!(
            text(&Notice::Reassigned {
                session_id: "s".into(),
                event_index: 3
            }),
            r#"{"channel":"reassigned","message":{"sessionId":"s","eventIndex":3}}"#
        );
        let warning = Warning {
            code: WarningCode::LogNotShrinking,
            message: "m".into(),
        };
        assert_eq!(
            text(&Notice::Warning(warning)),
            r#"{"channel":"warning","message":{"code":"log-not-shrinking","message":"m"}}"#
        );
    }
}
