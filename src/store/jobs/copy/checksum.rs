//! Checksums of what is copied: of each session over its events' JSON texts, each on a line of its own, and one over those of all
//! sessions.

use std::fmt::Write;

use sha2::{Digest, Sha256};

use super::Checksum;

/// The SHA-256 over the events of a session.
pub(super) type SessionSum = [u8; 32];

/// Events of a session, as far as they have passed.
#[derive(Debug, Clone, Default)]
pub(super) struct Events(Sha256);

impl Events {
    pub(super) fn push(&mut self, event: &str) {
        self.0.update(event);
        self.0.update(b"\n");
    }

    pub(super) fn sum(self) -> SessionSum {
        self.0.finalize().into()
    }
}

/// All sessions that are the same in both stores.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    sums: Sha256,
    count: u64,
    events: u64,
}

impl Sessions {
    pub(super) fn push(&mut self, sum: SessionSum, events: u64) {
        self.sums.update(sum);
        self.count += 1;
        self.events += events;
    }

    pub(super) fn checksum(self) -> Checksum {
        let mut sha256 = String::with_capacity(64);
        for byte in self.sums.finalize() {
            // Writing to a string does not fail.
            let _ = write!(sha256, "{byte:02x}");
        }
        Checksum {
            sessions: self.count,
            events: self.events,
            sha256,
        }
    }
}
