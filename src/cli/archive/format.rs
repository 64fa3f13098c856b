//! The lines of a file: what each looks like, and reading one.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::problem::Problem;

/// What the format is called.
const FORMAT: &str = "sandbox-agent-persist";

/// Its version. Another one is a file that this release cannot read.
pub(super) const VERSION: u64 = 1;

/// What stands before and after the text of an event.
pub(super) const EVENT: (&str, &str) = (r#"{"event":"#, "}");

const SESSION: &str = r#"{"session":"#;
const END: &str = r#"{"end":"#;

/// A line after the first.
pub(super) enum Line<'a> {
    /// A session begins.
    Session(SessionLine<'a>),
    /// The JSON text of an event.
    Event(&'a str),
    /// The session is over.
    SessionEnd(SessionEnd<'a>),
    /// There are no more sessions.
    End(Total),
}

/// The first line of a session.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SessionLine<'a> {
    /// The record's JSON text; `null`, if there is none.
    #[serde(borrow)]
    pub(super) session: &'a RawValue,
    /// The session's id, if there is no record that has it.
    #[serde(borrow)]
    pub(super) id: Option<Cow<'a, str>>,
    /// Names and values.
    #[serde(default)]
    pub(super) labels: BTreeMap<String, String>,
}

/// The last line of a session.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SessionEnd<'a> {
    /// The session's id.
    #[serde(borrow)]
    pub(super) session: Cow<'a, str>,
    /// How many events it has.
    pub(super) events: u64,
    /// The SHA-256 of its lines before this one, in hexadecimal digits.
    #[serde(borrow)]
    pub(super) sha256: Cow<'a, str>,
}

/// How much there is in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(in crate::cli) struct Total {
    /// How many sessions.
    pub(in crate::cli) sessions: u64,
    /// How many events.
    pub(in crate::cli) events: u64,
}

/// The line that says what the others are.
pub(super) fn header() -> String {
    format!(r#"{{"format":"{FORMAT}","version":{VERSION}}}"#)
}

/// Refuses a first line that is of another format, or of another version of it.
pub(super) fn check_header(line: &str) -> Result<(), Problem> {
    #[derive(Deserialize)]
    struct Header<'a> {
        #[serde(borrow)]
        format: Cow<'a, str>,
        version: u64,
    }
    let header = serde_json::from_str::<Header<'_>>(line).ok();
    match header.filter(|header| header.format == FORMAT) {
        None => Err(Problem::OtherFormat),
        Some(Header { version: VERSION, .. }) => Ok(()),
        Some(Header { version, .. }) => Err(Problem::OtherVersion(version)),
    }
}

/// Reads a line after the first. What an event holds is not looked at.
pub(super) fn parse(line: &str) -> Result<Line<'_>, Problem> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct EndLine<'a> {
        #[serde(borrow)]
        end: &'a RawValue,
    }
    let event = line.strip_prefix(EVENT.0).and_then(|rest| rest.strip_suffix(EVENT.1));
    if let Some(event) = event {
        return Ok(Line::Event(event));
    }
    if line.starts_with(SESSION) {
        let session = serde_json::from_str(line).map_err(|error| Problem::of_json(&error, Problem::NoSession))?;
        return Ok(Line::Session(session));
    }
    if line.starts_with(END) {
        let EndLine { end } = serde_json::from_str(line).map_err(|error| Problem::of_json(&error, Problem::NoEnd))?;
        let session = serde_json::from_str(end.get()).map(Line::SessionEnd);
        return session
            .or_else(|_| serde_json::from_str(end.get()).map(Line::End))
            .map_err(|_| Problem::NoEnd);
    }
    match serde_json::from_str::<IgnoredAny>(line) {
        Ok(_) => Err(Problem::OtherLine),
        Err(error) => Err(Problem::of_json(&error, Problem::OtherLine)),
    }
}

/// A checksum as lines have it.
pub(super) fn hexadecimal(bytes: &[u8]) -> String {
    const DIGITS: [char; 16] = [
        '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f',
    ];
    let digits = |byte: &u8| [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]];
    bytes.iter().flat_map(digits).collect()
}
