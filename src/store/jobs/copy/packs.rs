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

/// How many packs may wait.
const AHEAD: usize = 1;

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
        }
    }

    fn is_full(self) -> bool {
        self.events >= EVENTS_AT_ONCE || self.bytes >= BYTES
    }
}

impl AddAssign for Size {
    fn add_assign(&mut self, other: Self) {
        self.events += other.events;
        self.bytes += other.bytes;
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
        let (sender, packs) = sync_channel(AHEAD);
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
            let mut next = match source.next_events() {
                Ok(next) if next.is_empty() => break PieceEnd::Whole,
                Ok(next) => next,
                Err(NoEvents::Changed(_)) => {
                    (events, size) = (Vec::new(), Size::default());
                    break PieceEnd::Changed;
                }
                Err(NoEvents::Ended(ended)) => return Err(ended),
            };
            if size.is_full() {
                self.send()?;
                let events = mem::take(&mut events);
                let begins = begins.take();
                self.pack.push(
                    Piece {
                        begins,
                        events,
                        end: None,
                    },
                    mem::take(&mut size),
                );
                self.send()?;
            }
            size += Size::of(&next);
            events.append(&mut next);
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

    /// Sends what there is.
    fn send(&mut self) -> Result<(), Ended> {
        if self.pack.pieces.is_empty() {
            return Ok(());
        }
        self.sender
            .send(Ok(mem::take(&mut self.pack)))
            .map_err(|_| Ended::Stopped)
    }
}
