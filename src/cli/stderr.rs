//! What a command says on stderr. When nobody reads it, there is nobody to tell that either.

use std::fmt::Display;
use std::io::Write;

/// Says a line.
pub(super) fn say(line: impl Display) {
    let _ = writeln!(anstream::stderr(), "{line}");
}

/// Says the beginning of a line, such as a question.
pub(super) fn begin(text: impl Display) {
    let mut stderr = anstream::stderr();
    let _ = write!(stderr, "{text}").and_then(|()| stderr.flush());
}
