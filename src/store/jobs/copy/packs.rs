//! Reads a source on a thread of its own, ahead of those who store what it has: many small sessions at once, or a piece of a large
//! one.

use std::mem;
use std::ops::AddAssign;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::source::{EVENTS_AT_ONCE, NoEvents, Source, SourceSession};
use crate::store::error::StoreError;
use crate::store::jobs::Ended;

/// Of how many sessions there are events in one pack at most.
const MOST_PIECES: usize = 500;

/// How much text is in one about: several of what a source hands over, since a transaction of each is synced.
const BYTES: usize = 4 << 20;

/// How long an event is that is large. A pack that has one is dealt with before more is read: each step on its way copies the event, and
/// there is to be one at a time of which that is so.
const LARGE_EVENT_BYTES: usize = BYTES / 2;

/// For how long a source may be silent before somebody looks at whether the copy is to go on.
const SILENCE: Duration = Duration::from_millis(250);

/// What is dealt with at once: pieces of sessions, in their order, each of another session.
#[derive(Debug, Default)]
pub(super) struct Pack {
    pub(super) pieces: Vec<Piece>,
    /// How much they are together.
    pub(super) size: Size,
}

/// How much text of events.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Size {
    /// How many events.
    pub(super) events: usize,
    /// How many bytes of JSON text these are.
    pub(super) bytes: usize,
    /// How many the longest of them has.
    longest: usize,
}

/// Events of a session that follow each other.
#[derive(Debug)]
pub(super) struct Piece {
    /// The session, where these are its first events. Others belong to the session of the pack before.
    pub(super) begins: Option<SourceSession>,
    pub(super) events: Vec<String>,
    /// How it ends, where these are its last.
    pub(super) end: Option<PieceEnd>,
}

/// How a session ends in the source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PieceEnd {
    /// With its last event.
    Whole,
    /// It was changed while it was read. What came of it before is not to stay.
    Changed,
}

impl Piece {
    /// The id of the session that begins.
    pub(super) fn begun(&self) -> Option<&str> {
        self.begins.as_ref().map(|session| session.id.as_str())
    }
}

impl Pack {
    fn push(&mut self, piece: Piece, size: Size) {
        self.pieces.push(piece);
        self.size += size;
    }

    fn is_full(&self) -> bool {
        self.size.is_full() || self.pieces.len() >= MOST_PIECES
    }
}

impl Size {
    fn of(events: &[String]) -> Self {
        Self {
            events: events.len(),
            bytes: events.iter().map(String::len).sum(),
            longest: events.iter().map(String::len).max().unwrap_or_default(),
        }
    }

    /// Whether nothing is to be under way beside it.
    pub(super) fn is_large(self) -> bool {
        self.longest > LARGE_EVENT_BYTES
    }

    fn is_full(self) -> bool {
        self.events >= EVENTS_AT_ONCE || self.bytes >= BYTES
    }
}

impl AddAssign for Size {
    fn add_assign(&mut self, other: Self) {
        self.events += other.events;
        self.bytes += other.bytes;
        self.longest = self.longest.max(other.longest);
    }
}

/// The packs of a source, in their order.
pub(super) struct Packs {
    packs: Receiver<Result<Pack, Ended>>,
    /// Reads the source. Nobody waits for it unless it has come to an end: a call of the source may take for ever.
    reader: Option<JoinHandle<()>>,
}

impl Packs {
    /// Begins to read the source.
    pub(super) fn of(mut source: Box<dyn Source>) -> Result<Self, StoreError> {
        // One that was read waits to be taken, and no more.
        let (sender, packs) = sync_channel(0);
        let read = move || {
            let mut reading = Reading {
                pack: Pack::default(),
                sender,
            };
            if let Err(ended) = reading.all_of(&mut *source) {
                // Nobody may listen any more.
                let _ = reading.sender.send(Err(ended));
            }
        };
        let reader = thread::Builder::new().name(String::from("persist-source")).spawn(read);
        Ok(Self {
            packs,
            reader: Some(reader.map_err(|error| StoreError::no_thread(&error))?),
        })
    }

    /// Waits for the next pack; there is none after the last one. While the source is silent, looks at whether the copy is to go on.
    pub(super) fn next(&mut self, goes_on: impl Fn() -> Result<(), Ended>) -> Result<Option<Pack>, Ended> {
        loop {
            match self.packs.recv_timeout(SILENCE) {
                // The one before was large, and is dealt with.
                Ok(Ok(Pack { pieces, .. })) if pieces.is_empty() => {}
                Ok(pack) => return pack.map(Some),
                Err(RecvTimeoutError::Timeout) => goes_on()?,
                Err(RecvTimeoutError::Disconnected) => {
                    let ended = self.reader.take().map_or(Ok(()), JoinHandle::join);
                    // What was read of it is not all.
                    return ended
                        .map(|()| None)
                        .map_err(|_| StoreError::internal("reading the source of a copy panicked").into());
                }
            }
        }
    }
}

struct Reading {
    pack: Pack,
    sender: SyncSender<Result<Pack, Ended>>,
}

impl Reading {
    fn all_of(&mut self, source: &mut dyn Source) -> Result<(), Ended> {
        while let Some(session) = source.next_session()? {
            self.session(session, source)?;
        }
        self.send()
    }

    /// Adds a session. Whether it goes on is known before any of it is sent: one that fits into a pack is not cut, and is stored
    /// together with its record.
    fn session(&mut self, session: SourceSession, source: &mut dyn Source) -> Result<(), Ended> {
        let mut begins = Some(session);
        let (mut events, mut size) = (Vec::new(), Size::default());
        let end = loop {
            let next = match source.has_events() {
                Ok(false) => break PieceEnd::Whole,
                Ok(true) if size.is_full() => {
                    let (begins, events) = (begins.take(), mem::take(&mut events));
                    self.send_alone(
                        Piece {
                            begins,
                            events,
                            end: None,
                        },
                        mem::take(&mut size),
                    )?;
                    source.next_events()
                }
                Ok(true) => source.next_events(),
                Err(reason) => Err(reason),
            };
            match next {
                Ok(mut next) => {
                    size += Size::of(&next);
                    events.append(&mut next);
                }
                Err(NoEvents::Changed(_)) => {
                    (events, size) = (Vec::new(), Size::default());
                    break PieceEnd::Changed;
                }
                Err(NoEvents::Ended(ended)) => return Err(ended),
            }
        };
        // One that is nearly a pack by itself does not make another one twice as large.
        if size.events > EVENTS_AT_ONCE / 2 || size.bytes > BYTES / 2 {
            self.send()?;
        }
        self.pack.push(
            Piece {
                begins,
                events,
                end: Some(end),
            },
            size,
        );
        if self.pack.is_full() {
            self.send()?;
        }
        Ok(())
    }

    /// Sends what there is, and then this.
    fn send_alone(&mut self, piece: Piece, size: Size) -> Result<(), Ended> {
        self.send()?;
        self.pack.push(piece, size);
        self.send()
    }

    /// Sends what there is.
    fn send(&mut self) -> Result<(), Ended> {
        if self.pack.pieces.is_empty() {
            return Ok(());
        }
        let is_large = self.pack.size.is_large();
        self.pass_on()?;
        if is_large {
            // An empty one is taken once that is dealt with.
            self.pass_on()?;
        }
        Ok(())
    }

    fn pass_on(&mut self) -> Result<(), Ended> {
        let pack = mem::take(&mut self.pack);
        self.sender.send(Ok(pack)).map_err(|_| Ended::Stopped)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// One session with so many large events.
    struct LargeEvents {
        session: Option<SourceSession>,
        left: usize,
        read: Arc<AtomicUsize>,
    }

    impl Source for LargeEvents {
        fn next_session(&mut self) -> Result<Option<SourceSession>, Ended> {
            Ok(self.session.take())
        }

        fn has_events(&mut self) -> Result<bool, NoEvents> {
            Ok(self.left > 0)
        }

        fn next_events(&mut self) -> Result<Vec<String>, NoEvents> {
            self.left -= 1;
            self.read.fetch_add(1, Ordering::SeqCst);
            Ok(vec!["=".repeat(BYTES)])
        }
    }

    #[test]
    fn a_large_event_is_dealt_with_before_the_next_one_is_read() {
        let read = Arc::new(AtomicUsize::new(0));
        let source = LargeEvents {
            session: Some(SourceSession::default()),
            left: 3,
            read: Arc::clone(&read),
        };
        let mut packs = Packs::of(Box::new(source)).unwrap();
        for number in 1..=3 {
            let pack = packs.next(|| Ok(())).unwrap().unwrap();
            assert_eq!(pack.size.events, 1);
            assert_eq!(pack.pieces.iter().any(|piece| piece.end.is_some()), number == 3);
            assert_eq!(read.load(Ordering::SeqCst), number);
        }
        assert!(packs.next(|| Ok(())).unwrap().is_none());
    }
}
