//! Reading ahead: while a caller goes through a session page by page, the pages that follow are fetched, many with one
//! statement, and more the further the caller gets. `read` asks here first, and `super` tells of writes.
//!
//! A page that was read ahead is given away only if it is at most [`MAX_AGE`] older than the call, was read after its
//! caller's scan began, and shows all that this driver has stored. The last page of a session is never read ahead. So a
//! caller misses nothing that anybody has added to the end of the session (ARCHITECTURE.md, "Reading ahead").

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::task::spawn_local;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::connection::Connection;
use super::database::{Database, Purpose};
use super::error::Failure;
use super::read::{self, Span};
use crate::store::cursor::{EventKey, Position};
use crate::store::list::EventList;
use crate::store::page::{Page, PageSize};

/// How long before its call a page may have been read.
const MAX_AGE: Duration = Duration::from_millis(500);

/// For how many scans pages are read ahead at once.
const MAX_SCANS: usize = 16;

/// How many pages the first statement of a scan reads ahead; each of the next reads twice as many as the one before.
const FIRST_PAGES: u32 = 2;

/// How many bytes a statement is meant to bring, judging by the pages before.
const WANTED_BYTES: usize = 4 << 20;

/// How many it brings at most.
const MAX_BYTES: usize = 2 * WANTED_BYTES;

/// The scans for which pages are read ahead.
pub(super) struct Scans {
    database: Rc<Database>,
    /// Whether a write of that session waits, or is being committed.
    is_written: Box<dyn Fn(&str) -> bool>,
    running: RefCell<Vec<Scan>>,
    /// The number of the scan that began last.
    last: Cell<u64>,
}

/// A caller that goes through a session.
struct Scan {
    number: u64,
    list: Rc<List>,
    /// Pages that were read earlier are not given away.
    not_before: Instant,
    /// What it will ask for next; none while a page is on its way to it.
    next: Option<Next>,
}

/// What a scan is of.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct List {
    /// All of a session, in ascending order.
    pub(super) events: EventList,
    /// How much a page holds.
    pub(super) size: PageSize,
}

struct Next {
    after: EventKey,
    pages: Pages,
}

type Pages = mpsc::UnboundedReceiver<ReadPage>;

/// A page that was read ahead.
struct ReadPage {
    page: Page<EventKey>,
    /// A moment before it was read.
    at: Instant,
    /// Dropped when the first page of a statement is taken.
    _taken: Option<oneshot::Sender<()>>,
}

/// A scan whose caller waits for a page. It ends if this is dropped.
pub(super) struct Waiting {
    scans: Rc<Scans>,
    number: u64,
}

impl Scans {
    pub(super) fn new(database: Rc<Database>, is_written: impl Fn(&str) -> bool + 'static) -> Rc<Self> {
        Rc::new(Self {
            database,
            is_written: Box::new(is_written),
            running: RefCell::new(Vec::new()),
            last: Cell::new(0),
        })
    }

    /// Drops what was read of a session, since it is written to.
    pub(super) fn end_those_of(&self, session_id: &str) {
        self.running
            .borrow_mut()
            .retain(|scan| scan.list.events.session_id != session_id);
    }

    fn end(&self, number: u64) {
        self.running.borrow_mut().retain(|scan| scan.number != number);
    }

    /// Drops all that was read.
    pub(super) fn end_all(&self) {
        self.running.borrow_mut().clear();
    }

    /// Begins a scan whose caller reads a page itself, unless there are too many, or the session is being written to.
    pub(super) fn begin(self: &Rc<Self>, list: &Rc<List>) -> Option<Waiting> {
        let mut scans = self.running.borrow_mut();
        if scans.len() == MAX_SCANS || (self.is_written)(&list.events.session_id) {
            return None;
        }
        let number = self.last.get() + 1;
        self.last.set(number);
        scans.push(Scan {
            number,
            list: Rc::clone(list),
            not_before: Instant::now(),
            next: None,
        });
        Some(Waiting {
            scans: Rc::clone(self),
            number,
        })
    }

    /// The text of the page after `after`, if it was read ahead or is being read, for which it waits until `deadline`. If
    /// there is none, the scan that may go on with a page that its caller reads itself.
    pub(super) async fn page(
        self: &Rc<Self>,
        list: &Rc<List>,
        after: EventKey,
        deadline: Instant,
    ) -> Result<String, Option<Waiting>> {
        let called = Instant::now();
        let (waiting, mut pages) = self.take(list, after).ok_or(None)?;
        let read = timeout_at(deadline, pages.recv()).await.ok().flatten();
        match read {
            Some(ReadPage { page, at, .. })
                if called < at + MAX_AGE && waiting.not_before().is_some_and(|not_before| at >= not_before) =>
            {
                if let Some(after) = page.next {
                    waiting.go_on(after, pages);
                }
                Ok(page.text)
            }
            _ => Err(Some(waiting)),
        }
    }

    fn take(self: &Rc<Self>, list: &Rc<List>, after: EventKey) -> Option<(Waiting, Pages)> {
        let mut scans = self.running.borrow_mut();
        let scan = scans.iter_mut().find(|scan| scan.list == *list && scan.is_at(after))?;
        let waiting = Waiting {
            scans: Rc::clone(self),
            number: scan.number,
        };
        Some((waiting, scan.next.take()?.pages))
    }

    /// Notes that a page before `after` was read by its caller itself, who called at that time. The caller may get the next
    /// page from any scan that is there, or gets there.
    pub(super) fn note_read(&self, list: &Rc<List>, after: EventKey, called: Instant) {
        for scan in self.running.borrow_mut().iter_mut() {
            if scan.list == *list && (scan.next.is_none() || scan.is_at(after)) {
                scan.not_before = scan.not_before.max(called);
            }
        }
    }
}

impl Scan {
    fn is_at(&self, after: EventKey) -> bool {
        self.next.as_ref().is_some_and(|next| next.after == after)
    }
}

impl Waiting {
    /// What its pages may not be older than; none if it has been ended.
    fn not_before(&self) -> Option<Instant> {
        let scans = self.scans.running.borrow();
        let scan = scans.iter().find(|scan| scan.number == self.number)?;
        Some(scan.not_before)
    }

    /// Begins to read ahead after a page that the caller has read itself, which had so many bytes.
    pub(super) fn read_ahead(self, list: Rc<List>, after: EventKey, page_bytes: usize) {
        if page_bytes > WANTED_BYTES {
            return;
        }
        let (sink, pages) = mpsc::unbounded_channel();
        let (scans, number) = (Rc::clone(&self.scans), self.number);
        self.go_on(after, pages);
        spawn_local(async move {
            let mut ahead = ReadAhead {
                list,
                after,
                page_bytes,
                sink,
            };
            let at = ahead.read(&scans.database).await;
            drop(ahead);
            // By then nobody may be given any of its pages.
            sleep_until(at + MAX_AGE).await;
            scans.end(number);
        });
    }

    /// Lets the caller come back for the page after `after`.
    fn go_on(self, after: EventKey, pages: Pages) {
        let mut scans = self.scans.running.borrow_mut();
        let Some(scan) = scans.iter_mut().find(|scan| scan.number == self.number) else {
            return;
        };
        scan.next = Some(Next { after, pages });
        // Of scans that are at the same place it cannot be told which one a call belongs to.
        let list = Rc::clone(&scan.list);
        let here = scans.iter_mut().filter(|scan| scan.list == list && scan.is_at(after));
        let mut here: Vec<&mut Scan> = here.collect();
        let latest = here.iter().map(|scan| scan.not_before).max();
        for scan in &mut here {
            scan.not_before = scan.not_before.max(latest.unwrap_or(scan.not_before));
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut scans = self.scans.running.borrow_mut();
        scans.retain(|scan| scan.number != self.number || scan.next.is_some());
    }
}

/// What reads the pages of a scan.
struct ReadAhead {
    list: Rc<List>,
    /// Where the next page begins.
    after: EventKey,
    /// How many bytes a page has, as far as is known.
    page_bytes: usize,
    sink: mpsc::UnboundedSender<ReadPage>,
}

/// What a statement has brought.
struct Brought {
    /// A moment before.
    at: Instant,
    pages: u32,
    bytes: usize,
    /// Comes when the first page is taken.
    taken: oneshot::Receiver<()>,
    /// Whether the session's last page is what comes next.
    ended: bool,
}

impl ReadAhead {
    /// Reads until there is nothing more, nobody takes it, or it fails, which the caller's own read will tell. Comes back
    /// with the time when it read last.
    async fn read(&mut self, database: &Database) -> Instant {
        let mut pages = FIRST_PAGES;
        loop {
            let called = Instant::now();
            let Ok(brought) = self.read_pages(database, self.fitting(pages)).await else {
                return called;
            };
            if brought.pages == 0 || brought.ended {
                return brought.at;
            }
            // Only once somebody has come for what was read it is known that more is wanted.
            if timeout_at(brought.at + MAX_AGE, brought.taken).await.is_err() || self.sink.is_closed() {
                return brought.at;
            }
            self.page_bytes = brought.bytes / brought.pages as usize;
            pages = brought.pages.saturating_mul(2);
        }
    }

    /// How many of so many pages are likely to have the wanted bytes at most; one at least.
    fn fitting(&self, pages: u32) -> u32 {
        let fitting = (WANTED_BYTES / self.page_bytes.max(1)).max(1);
        u32::try_from(fitting).map_or(pages, |fitting| pages.min(fitting))
    }

    async fn read_pages(&mut self, database: &Database, pages: u32) -> Result<Brought, Failure> {
        let (taken_sink, taken) = oneshot::channel();
        let mut first = Some(taken_sink);
        let mut brought = Brought {
            at: Instant::now(),
            pages: 0,
            bytes: 0,
            taken,
            ended: false,
        };
        let work = async |connection: &Connection| {
            if self.sink.is_closed() {
                return Ok(());
            }
            let at = Instant::now();
            let span = Span {
                size: self.list.size,
                pages: pages - brought.pages,
                max_bytes: MAX_BYTES,
            };
            brought.at = at;
            let position = Position::After(self.after);
            let tables = &database.options.tables;
            let mut put = |page: Page<EventKey>| {
                let Some(after) = page.next else {
                    brought.ended = true;
                    return;
                };
                self.after = after;
                brought.pages += 1;
                brought.bytes += page.text.len();
                // Nobody may want it any more.
                let _ = self.sink.send(ReadPage {
                    page,
                    at,
                    _taken: first.take(),
                });
            };
            let last = read::events(connection, tables, &self.list.events, &position, span, &mut put).await?;
            put(last);
            Ok(())
        };
        database.run(Purpose::Read, database.deadline(), work).await?;
        Ok(brought)
    }
}
