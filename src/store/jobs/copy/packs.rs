//! Reads a source on a thread of its own, ahead of those who store what it has: many small sessions at once, or a piece of a large
//! one.

use std::mem;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, Scope};

use super::source::{BYTES_AT_ONCE, EVENTS_AT_ONCE, Source, SourceSession};
use crate::store::error::{ErrorKind, StoreError};
use crate::store::jobs::Ended;

/// Of how many sessions there are events in one pack at most.
const MOST_PIECES: usize = 500;

/// How many packs may wait.
const AHEAD: usize = 2;

/// What is dealt with at once: pieces of sessions, in their order, each of another session.
#[derive(Debug, Default)]
pub(super) struct Pack {
    pub(super) pieces: Vec<Piece>,
    /// How many events they have.
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
    /// Whether these are its last.
    pub(super) ends: bool,
}

impl Piece {
    /// The id of the session that begins.
    pub(super) fn begun(&self) -> Option<&str> {
        self.begins.as_ref().map(|session| session.id.as_str())
    }
}

impl Pack {
    fn is_full(&self) -> bool {
        self.events >= EVENTS_AT_ONCE || self.bytes >= BYTES_AT_ONCE || self.pieces.len() >= MOST_PIECES
    }
}

/// Begins to read the source. The packs end after an error.
pub(super) fn read_ahead<'scope>(
    scope: &'scope Scope<'scope, '_>,
    source: &'scope mut dyn Source,
) -> Result<Receiver<Result<Pack, Ended>>, StoreError> {
    let (sender, packs) = sync_channel(AHEAD);
    let read = move || {
        let mut reading = Reading {
            pack: Pack::default(),
            sender,
        };
        if let Err(ended) = reading.all_of(source) {
            // Whoever does not listen any more needs no reason.
            let _ = reading.sender.send(Err(ended));
        }
    };
    thread::Builder::new()
        .name(String::from("persist-source"))
        .spawn_scoped(scope, read)
        .map_err(|error| {
            StoreError::new(
                ErrorKind::Unavailable,
                format!("starting a thread failed: {error}; close drivers that are not used"),
            )
        })?;
    Ok(packs)
}

struct Reading {
    pack: Pack,
    sender: SyncSender<Result<Pack, Ended>>,
}

impl Reading {
    fn all_of(&mut self, source: &mut dyn Source) -> Result<(), Ended> {
        while let Some(session) = source.next_session()? {
            let mut piece = Piece {
                begins: Some(session),
                events: Vec::new(),
                ends: false,
            };
            loop {
                let mut events = source.next_events()?;
                if events.is_empty() {
                    break;
                }
                self.pack.events += events.len();
                self.pack.bytes += events.iter().map(String::len).sum::<usize>();
                if piece.events.is_empty() {
                    piece.events = events;
                } else {
                    piece.events.append(&mut events);
                }
                if self.pack.is_full() {
                    let next = Piece {
                        begins: None,
                        events: Vec::new(),
                        ends: false,
                    };
                    self.pack.pieces.push(mem::replace(&mut piece, next));
                    self.send()?;
                }
            }
            piece.ends = true;
            self.pack.pieces.push(piece);
            if self.pack.is_full() {
                self.send()?;
            }
        }
        if self.pack.pieces.is_empty() {
            return Ok(());
        }
        self.send()
    }

    fn send(&mut self) -> Result<(), Ended> {
        self.sender
            .send(Ok(mem::take(&mut self.pack)))
            .map_err(|_| Ended::Stopped)
    }
}
