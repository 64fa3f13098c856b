//! The conditions on a list's rows, for a backend to write in SQL.

use std::borrow::Cow;

use crate::store::cursor::SessionKey;

/// What a row must meet. The names are those of columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition<'a> {
    /// The column holds this text, byte by byte.
    Equal(&'static str, &'a str),
    /// The column holds a larger number.
    Above(&'static str, i64),
    /// The column holds a smaller number.
    Below(&'static str, i64),
    /// The session comes after this one in ascending order.
    SessionAbove(&'a SessionKey),
    /// The session comes before this one in ascending order.
    SessionBelow(&'a SessionKey),
    /// The session's newest event was created before this time; without events, its record was.
    IdleBefore(i64),
    /// The column holds anything.
    Present(&'static str),
    /// The column holds nothing.
    Absent(&'static str),
    /// The column, which is of JSON, holds this text of ASCII, or one of [`ESCAPES`].
    Holds(&'static str, Cow<'a, str>),
    /// The session has the label. The database is to look for it when it comes to the session.
    Label(Label<'a>),
    /// The session has the label. The database is to begin with those that have it, which are few.
    RareLabel(Label<'a>),
}

/// What a JSON text writes a character in another way with than all others do: `\u` and digits, or a slash.
pub const ESCAPES: [&str; 2] = [r"\u", r"\/"];

/// A label: its name and its value.
pub type Label<'a> = (&'a str, &'a str);
