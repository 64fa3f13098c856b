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

    fn has_events(&mut self) -> Result<bool, NoEvents> {
        let Self { reader, name, is_open } = self;
        // Where no event comes, the end of the session is to be checked.
        if *is_open && !reader.is_at_event().map_err(|wrong| changed(name, &wrong))? {
            reader.next().map_err(|wrong| changed(name, &wrong))?;
            *is_open = false;
        }
        Ok(*is_open)
    }

    fn next_events(&mut self) -> Result<Vec<String>, NoEvents> {
        let (mut events, mut bytes) = (Vec::new(), 0);
        while bytes < BYTES_AT_ONCE && events.len() < EVENTS_AT_ONCE && self.has_events()? {
            let event = self.reader.next().map_err(|wrong| changed(&self.name, &wrong))?;
            if let Some(Entry::Event(event)) = event {
                // The text as the store will have it, whoever has written the file: the same again on the next import.
                let mut text = String::with_capacity(event.payload.len() + 256);
                event.write_json(&mut text);
                bytes += text.len();
                events.push(text);
            }
        }
        // It may be long until the next one is asked for.
        self.reader.let_go();
        Ok(events)
    }
}

/// Every line was right when the file was checked.
fn changed(name: &str, wrong: &WrongLine) -> Ended {
    let message = format!("importing {name} failed: it has changed since it was checked ({wrong}); import it again");
    StoreError::new(ErrorKind::Unavailable, message).into()
}
