//! A file as the source of a copy: the second pass of an import, after `check` has found nothing wrong.

use super::input::Input;
use super::lines::LineBound;
use super::problem::WrongLine;
use super::reader::{Entry, Reader};
use crate::cli::failure::Failure;
use crate::store::error::{ErrorKind, StoreError};
use crate::store::jobs::Ended;
use crate::store::jobs::copy::{BYTES_AT_ONCE, EVENTS_AT_ONCE, NoEvents, Source, SourceSession};

/// See the module's description.
pub(in crate::cli) struct ArchiveSource {
    reader: Reader,
    name: String,
    /// Whether the session that was given last may have more events.
    is_open: bool,
}

impl ArchiveSource {
    /// The sessions of a file, from the first.
    pub(in crate::cli) fn of(input: &Input, bound: LineBound) -> Result<Self, Failure> {
        Ok(Self {
            reader: Reader::of(input.read()?, bound),
            name: input.name().to_owned(),
            is_open: false,
        })
    }
}

impl Source for ArchiveSource {
    fn next_session(&mut self) -> Result<Option<SourceSession>, Ended> {
        let Self { reader, name, is_open } = self;
        loop {
            match reader.next().map_err(|wrong| changed(name, &wrong))? {
                Some(Entry::Session(session)) => {
                    *is_open = true;
                    return Ok(Some(session));
                }
                Some(Entry::Event(_) | Entry::SessionEnd | Entry::Frame) => {}
                None => return Ok(None),
            }
        }
    }

    fn next_events(&mut self) -> Result<Vec<String>, NoEvents> {
        let Self { reader, name, is_open } = self;
        let (mut events, mut bytes) = (Vec::new(), 0);
        while *is_open && bytes < BYTES_AT_ONCE && events.len() < EVENTS_AT_ONCE {
            match reader.next().map_err(|wrong| changed(name, &wrong))? {
                Some(Entry::Event(event)) => {
                    // The text as the store will have it, whoever has written the file: the same again on the next import.
                    let mut text = String::new();
                    event.write_json(&mut text);
                    bytes += text.len();
                    events.push(text);
                }
                Some(Entry::Session(_) | Entry::SessionEnd | Entry::Frame) | None => *is_open = false,
            }
        }
        Ok(events)
    }
}

/// Every line was right when the file was checked.
fn changed(name: &str, wrong: &WrongLine) -> Ended {
    let message = format!("importing {name} failed: it has changed since it was checked ({wrong}); import it again");
    StoreError::new(ErrorKind::Unavailable, message).into()
}
