//! Reading ahead: while JavaScript parses a page, its reader's thread reads the next one. `super` runs it.
//!
//! The SDK reads whole sessions, page after page, to count their events and to replay them (docs/sdk-contract.md,
//! 4 and 5), of several sessions at once. A page read ahead is given away only if nobody has changed the database since
//! it was read: the caller always gets what a read at the moment of the call would have found.

use std::collections::VecDeque;
use std::time::Duration;

use super::read::{Found, Reader};
use crate::store::error::StoreError;
use crate::store::{Answer, ReadRequest};

/// A longer page is not worth its memory; its parsing takes long enough as it is.
const MAX_PAGE_BYTES: usize = 4 << 20;

/// How much text of pages read ahead one reader keeps.
const MAX_AHEAD_BYTES: usize = 16 << 20;

/// How many scans one reader remembers.
const MAX_SCANS: usize = 16;

/// How long pages are kept that nobody asks for.
const KEPT_FOR: Duration = Duration::from_secs(2);

/// A reader that guesses the next requests.
pub(super) struct ReaderAhead {
    reader: Reader,
    /// The one that was asked for last is the last.
    scans: VecDeque<Scan>,
}

/// A list that a caller reads page after page.
struct Scan {
    next: ReadRequest,
    page: Next,
    /// Whether somebody wrote while it was read: what is read ahead would most likely be out of date again.
    disturbed: bool,
}

/// The page that `Scan::next` asks for.
enum Next {
    /// Will be read when it is asked for.
    Unread,
    /// Is worth reading ahead: it follows the second page in a row.
    Wanted,
    /// As it was at this version of the database.
    Read(Box<Found>, i64),
}

impl ReaderAhead {
    pub(super) fn new(reader: Reader) -> Self {
        Self {
            reader,
            scans: VecDeque::new(),
        }
    }

    /// Answers one read.
    pub(super) fn read(&mut self, request: &ReadRequest) -> Result<Answer, StoreError> {
        let position = self.scans.iter().position(|scan| scan.next == *request);
        let scan = position.and_then(|position| self.scans.remove(position));
        let in_a_row = scan.is_some();
        let mut disturbed = scan.as_ref().is_some_and(|scan| scan.disturbed);
        let found = match scan.map(|scan| scan.page) {
            Some(Next::Read(found, version)) if self.reader.data_version() == Ok(version) => *found,
            Some(Next::Read(..)) => {
                disturbed = true;
                self.reader.read(request)?
            }
            _ => self.reader.read(request)?,
        };
        let short = found.bytes() <= MAX_PAGE_BYTES;
        if let Some(next) = found.next {
            let page = if in_a_row && short && !disturbed {
                Next::Wanted
            } else {
                Next::Unread
            };
            self.scans.push_back(Scan { next, page, disturbed });
            if self.scans.len() > MAX_SCANS {
                self.scans.pop_front();
            }
        }
        Ok(found.answer)
    }

    /// How long the reader waits for the next request before it is called [`idle`](Self::idle).
    pub(super) fn patience(&self) -> Option<Duration> {
        if self.scans.iter().any(|scan| matches!(scan.page, Next::Wanted)) {
            Some(Duration::ZERO)
        } else if self.ahead_bytes() > 0 {
            Some(KEPT_FOR)
        } else {
            None
        }
    }

    /// Reads one page that is worth it. When there is none nobody has asked for long, and all pages are let go.
    pub(super) fn idle(&mut self) {
        let Some(position) = self.scans.iter().position(|scan| matches!(scan.page, Next::Wanted)) else {
            return self.scans.clear();
        };
        // The request itself will meet the error of a page that cannot be read, and tell it.
        self.scans[position].page = Next::Unread;
        if let Some((found, version)) = self.try_read(&self.scans[position].next)
            && found.bytes() <= MAX_PAGE_BYTES
        {
            self.scans[position].page = Next::Read(Box::new(found), version);
        }
        while self.ahead_bytes() > MAX_AHEAD_BYTES {
            self.scans.pop_front();
        }
    }

    fn ahead_bytes(&self) -> usize {
        let pages = self.scans.iter().map(|scan| match &scan.page {
            Next::Read(found, _) => found.bytes(),
            Next::Unread | Next::Wanted => 0,
        });
        pages.sum()
    }

    fn try_read(&self, request: &ReadRequest) -> Option<(Found, i64)> {
        // The version before the page: a change in between makes the page out of date, never the other way round.
        let version = self.reader.data_version().ok()?;
        let found = self.reader.read(request).ok()?;
        Some((found, version))
    }
}
