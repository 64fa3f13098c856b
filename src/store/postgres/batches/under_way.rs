//! Which batches are under way, and whose turn may begin beside them. `super` asks.

use std::time::Duration;

use tokio::time::Instant;

use crate::store::postgres::pipeline::{PATIENCE, Pipelines, Room};
use crate::store::postgres::queue::Turn;

/// What part of the time tries of locked sessions may take on a single connection, which the others need.
const LOCKED_PART: u32 = 10;

/// What is under way.
pub(super) struct UnderWay<'a> {
    /// How many connections there are.
    at_once: usize,
    shared: usize,
    /// The connections that the shared ones have.
    pipelines: &'a Pipelines,
    /// When the last one was begun.
    last_shared: Instant,
    /// Batches of sessions that are in the way of others.
    beside: usize,
    /// Whether others of these could begin.
    pub(super) beside_waits: bool,
    /// Whether one of these is of a locked session. There is one at a time: where the server is far the shared batches need
    /// the other connections, and what is no longer locked takes little time.
    locked: bool,
    /// When a locked session may be tried again.
    pub(super) next_locked: Instant,
    /// Whose turn it was last.
    last: Turn,
    /// Whose turn it was last beside the shared ones.
    last_beside: Turn,
}

impl<'a> UnderWay<'a> {
    pub(super) fn new(at_once: usize, pipelines: &'a Pipelines) -> Self {
        let now = Instant::now();
        Self {
            at_once,
            shared: 0,
            pipelines,
            last_shared: now,
            beside: 0,
            beside_waits: false,
            locked: false,
            next_locked: now,
            last: Turn::Shared,
            last_beside: Turn::Single,
        }
    }

    /// Which turns may begin, in this order: each kind beside the shared ones has the first turn now and then, and on a
    /// single connection the shared ones have every second turn.
    pub(super) fn order(&self) -> [Turn; 5] {
        let [first, second, third, fourth] = match self.last_beside {
            Turn::Suspects => [Turn::Locked, Turn::Contested, Turn::Single, Turn::Suspects],
            Turn::Locked => [Turn::Contested, Turn::Single, Turn::Suspects, Turn::Locked],
            Turn::Contested => [Turn::Single, Turn::Suspects, Turn::Locked, Turn::Contested],
            Turn::Single | Turn::Shared => [Turn::Suspects, Turn::Locked, Turn::Contested, Turn::Single],
        };
        if self.at_once == 1 && self.last != Turn::Shared {
            [Turn::Shared, first, second, third, fourth]
        } else {
            [first, second, third, fourth, Turn::Shared]
        }
    }

    /// How many shared batches have no connection at the moment: they wait for the tables, for a connection, or between tries.
    fn unconnected(&self) -> usize {
        self.shared.saturating_sub(self.pipelines.under_way())
    }

    fn has_room(&self) -> bool {
        self.pipelines.len() + self.unconnected() + self.beside < self.at_once
    }

    /// Whether there is a connection that the shared batches can spare.
    fn has_room_beside(&self) -> bool {
        self.has_room() && (self.beside + 1 < self.at_once || self.shared + self.beside == 0)
    }

    /// When another shared batch may begin, if not only once something has ended.
    pub(super) fn next_shared(&self) -> Option<Instant> {
        // The single connection that they share is wanted for others.
        if self.at_once == 1 && self.shared > 0 && self.beside_waits {
            return None;
        }
        match self.pipelines.room() {
            Room::Here => Some(self.last_shared),
            _ if !self.has_room() => None,
            Room::Full(until) => Some(until),
            Room::Elsewhere if self.unconnected() == 0 => Some(self.last_shared),
            Room::Elsewhere => Some(self.last_shared + PATIENCE),
        }
    }

    pub(super) fn may_try_locked(&self) -> bool {
        self.has_room_beside() && !self.locked
    }

    pub(super) fn may_begin(&self, turn: Turn) -> bool {
        match turn {
            Turn::Shared => self.next_shared().is_some_and(|next| next <= Instant::now()),
            Turn::Suspects | Turn::Contested | Turn::Single => self.has_room_beside(),
            Turn::Locked => self.may_try_locked() && Instant::now() >= self.next_locked,
        }
    }

    pub(super) fn begin(&mut self, turn: Turn) {
        if turn == Turn::Shared {
            self.shared += 1;
            self.last_shared = Instant::now();
        } else {
            self.beside += 1;
            self.locked |= turn == Turn::Locked;
        }
    }

    pub(super) fn end(&mut self, turn: Turn, took: Duration) {
        self.last = turn;
        if turn == Turn::Shared {
            self.shared -= 1;
            return;
        }
        self.beside -= 1;
        self.last_beside = turn;
        if turn == Turn::Locked {
            self.locked = false;
            if self.at_once == 1 {
                self.next_locked = Instant::now() + took * (LOCKED_PART - 1);
            }
        }
    }
}
