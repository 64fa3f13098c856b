//! Writes the lines of a file.

use std::io::{self, Write};

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::format::{self, EVENT, Total, hexadecimal};
use crate::store::jobs::copy::SourceSession;
use crate::store::labels;

/// How much is collected before it is written.
const BYTES_AT_ONCE: usize = 256 << 10;

/// See the module's description. Sessions are written one after the other: [`begin`](Self::begin), events, [`end`](Self::end).
pub(super) struct Writer<W> {
    out: W,
    /// What is not written yet.
    text: String,
    /// Where in it the lines begin that are not in the checksum yet.
    unhashed: usize,
    digest: Sha256,
    events: u64,
    total: Total,
}

impl<W: Write> Writer<W> {
    /// Begins a file.
    pub(super) fn new(out: W) -> Self {
        let text = format::header() + "\n";
        Self {
            out,
            unhashed: text.len(),
            text,
            digest: Sha256::new(),
            events: 0,
            total: Total::default(),
        }
    }

    /// Begins a session.
    pub(super) fn begin(&mut self, session: &SourceSession) {
        let Some(record) = &session.record else {
            let id = Value::from(&*session.id);
            return self.push(&[r#"{"session":null,"id":"#, &id.to_string(), "}\n"]);
        };
        let labels = session.labels.iter().map(|(name, value)| (&**name, &**value));
        self.push(&[r#"{"session":"#, record, r#","labels":"#, &labels::json(labels), "}\n"]);
    }

    /// Writes the session's next event, which is JSON text.
    pub(super) fn event(&mut self, event: &str) -> io::Result<()> {
        self.events += 1;
        self.push(&[EVENT.0]);
        if event.len() < BYTES_AT_ONCE {
            self.push(&[event]);
        } else {
            // Collecting it would copy it.
            self.write_all()?;
            self.digest.update(event);
            self.out.write_all(event.as_bytes())?;
        }
        self.push(&[EVENT.1, "\n"]);
        self.write_some()
    }

    /// Ends the session.
    pub(super) fn end(&mut self, id: &str) -> io::Result<()> {
        self.hash();
        let sha256 = hexadecimal(&self.digest.finalize_reset());
        let (id, events) = (Value::from(id).to_string(), self.events.to_string());
        self.push(&[r#"{"end":{"session":"#, &id, r#","events":"#, &events]);
        self.push(&[r#","sha256":""#, &sha256, "\"}}\n"]);
        self.unhashed = self.text.len();
        self.total.sessions += 1;
        self.total.events += std::mem::take(&mut self.events);
        self.write_some()
    }

    /// Ends the file, and says how much is in it.
    pub(super) fn finish(mut self) -> io::Result<Total> {
        let [sessions, events] = [self.total.sessions, self.total.events].map(|count| count.to_string());
        self.push(&[r#"{"end":{"sessions":"#, &sessions, r#","events":"#, &events, "}}\n"]);
        self.out.write_all(self.text.as_bytes())?;
        Ok(self.total)
    }

    fn push(&mut self, parts: &[&str]) {
        for part in parts {
            self.text.push_str(part);
        }
    }

    fn hash(&mut self) {
        self.digest.update(&self.text[self.unhashed..]);
        self.unhashed = self.text.len();
    }

    fn write_some(&mut self) -> io::Result<()> {
        if self.text.len() < BYTES_AT_ONCE {
            return Ok(());
        }
        self.write_all()
    }

    fn write_all(&mut self) -> io::Result<()> {
        self.hash();
        self.out.write_all(self.text.as_bytes())?;
        self.text.clear();
        // A record may be long.
        self.text.shrink_to(2 * BYTES_AT_ONCE);
        self.unhashed = 0;
        Ok(())
    }
}
