//! Whether a copy is sound, by SQLite's own check, which may take long and can be ended.

use std::ffi::{c_int, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};

use rusqlite::{Connection, ffi};

use crate::store::jobs::Ended;

/// How many instructions of SQLite's machine, or pages of a check, go by before it asks whether to go on.
const STEPS_A_QUESTION: c_int = 1_000;

/// A question, and why the answer was no.
struct Question<'a> {
    ask: &'a mut dyn FnMut() -> Result<(), Ended>,
    ended: Option<Ended>,
}

/// `ok`, or the first damage that was found. It ends early when `ask` fails.
pub(super) fn on(
    connection: &Connection,
    mut ask: impl FnMut() -> Result<(), Ended>,
) -> Result<rusqlite::Result<String>, Ended> {
    let mut question = Question {
        ask: &mut ask,
        ended: None,
    };
    let asked: *mut Question<'_> = &raw mut question;
    // SAFETY: the connection is open, and used by this thread alone. SQLite calls the function while the check below runs, and
    // never after the second call; until then nobody else uses `question`, which is alive.
    unsafe {
        ffi::sqlite3_progress_handler(
            connection.handle(),
            STEPS_A_QUESTION,
            Some(is_to_end),
            asked.cast::<c_void>(),
        );
    }
    let verdict = connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0));
    // SAFETY: as above.
    unsafe { ffi::sqlite3_progress_handler(connection.handle(), 0, None, std::ptr::null_mut()) };
    match question.ended {
        Some(ended) => Err(ended),
        None => Ok(verdict),
    }
}

unsafe extern "C" fn is_to_end(asked: *mut c_void) -> c_int {
    // SAFETY: it is the pointer that `on` gave to SQLite, which nobody else uses while it calls this.
    let question = unsafe { &mut *asked.cast::<Question<'_>>() };
    // A panic must not go through SQLite; it is printed, and the check goes on.
    if let Ok(Err(ended)) = catch_unwind(AssertUnwindSafe(&mut question.ask)) {
        question.ended = Some(ended);
        return 1;
    }
    0
}
