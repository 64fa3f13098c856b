//! The file that `export` writes and `import` reads: sessions as JSON Lines, each event the very text that the store has.
//!
//! ```text
//! {"format":"sandbox-agent-persist","version":1}
//! {"session":{...},"labels":{...}}
//! {"event":{...}}
//! {"end":{"session":"id","events":1,"sha256":"..."}}
//! {"end":{"sessions":1,"events":1}}
//! ```
//!
//! A session is its record and labels, its events by ascending index, and an end: how many events there are, and the SHA-256 of the
//! session's lines before it, newlines included. So what is missing is noticed wherever a file was cut off, and what was changed too.
//! Where events are all there is of a session its first line is `{"session":null,"id":"..."}`. Nothing in a file says when it was
//! written: two exports of one store are equal to the byte. Whether it is compressed, its first bytes say.
//!
//! [`mod@format`] has the lines, [`writer`] writes them and [`reader`] reads them one by one; it is the only judge of what
//! is wrong with one ([`problem`]). [`export`] is the job that reads a store, [`check`] goes through a file and collects what is wrong,
//! and [`source`] hands a file to a copy.
//! [`input`], [`output`], [`lines`] and [`compression`] are about bytes.

pub(super) mod check;
pub(super) mod compression;
pub(super) mod export;
mod format;
pub(super) mod input;
mod lines;
pub(super) mod output;
mod problem;
mod reader;
pub(super) mod source;
mod writer;

pub(super) use format::Total;
pub(super) use lines::LineBound;
