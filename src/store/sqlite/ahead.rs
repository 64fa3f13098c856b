//! Reading ahead: while JavaScript parses a page, the reader's thread reads the next one. `super` runs it.
//!
//! The SDK reads whole sessions, page after page, to count their events and to replay them (docs/sdk-contract.md,
//! 4 and 5). A page read ahead is given away only if nobody has changed the database since it was read: the
//! caller always gets what a read at the moment of the call would have found.

use super::read::{Found, Reader};
use crate::store::error::StoreError;
use crate::store::{Answer, ReadRequest};

/// A longer page is not worth its memory; its parsing takes long enough as it is.
const MAX_AHEAD_BYTES: usize = 4 << 20;

/// A reader that guesses the next request.
pub(super) struct ReaderAhead {
    reader: Reader,
    guess: Guess,
    /// Whether somebody wrote while this list was read: what is read ahead would most likely be out of date again.
    disturbed: bool,
}

/// What the next request may be.
enum Guess {
    /// Nothing to go by.
    None,
    /// The page after the one just given.
    Next(ReadRequest),
    /// The page after the second one in a row: worth reading ahead.
    Worth(ReadRequest),
    /// That page, as it was at this version of the database.
    Read(ReadRequest, Found, i64),
}

impl ReaderAhead {
    pub(super) fn new(reader: Reader) -> Self {
        Self {
            reader,
            guess: Guess::None,
            disturbed: false,
        }
    }

    /// Answers one read.
    pub(super) fn read(&mut self, request: &ReadRequest) -> Result<Answer, StoreError> {
        let (found, in_a_row) = match std::mem::replace(&mut self.guess, Guess::None) {
            Guess::Read(guessed, found, version) if guessed == *request => {
                if self.reader.data_version() == Ok(version) {
                    (found, true)
                } else {
                    self.disturbed = true;
                    (self.reader.read(request)?, true)
                }
            }
            Guess::Next(guessed) | Guess::Worth(guessed) if guessed == *request => (self.reader.read(request)?, true),
            _ => {
                self.disturbed = false;
                (self.reader.read(request)?, false)
            }
        };
        let short = matches!(&found.answer, Answer::Json(text) if text.len() <= MAX_AHEAD_BYTES);
        self.guess = match found.next {
            Some(next) if in_a_row && short && !self.disturbed => Guess::Worth(next),
            Some(next) => Guess::Next(next),
            None => Guess::None,
        };
        Ok(found.answer)
    }

    /// Reads the page that is worth it, if there is one. Called when an answer is on its way.
    pub(super) fn read_ahead(&mut self) {
        self.guess = match std::mem::replace(&mut self.guess, Guess::None) {
            Guess::Worth(next) => match self.try_read(&next) {
                Some((found, version)) => Guess::Read(next, found, version),
                // The request itself will meet the error, and tell it.
                None => Guess::Next(next),
            },
            other => other,
        };
    }

    fn try_read(&self, request: &ReadRequest) -> Option<(Found, i64)> {
        // The version before the page: a change in between makes the page out of date, never the other way round.
        let version = self.reader.data_version().ok()?;
        let found = self.reader.read(request).ok()?;
        Some((found, version))
    }
}
