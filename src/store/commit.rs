//! Writes, from the text that they are called with to what is committed; and group commit for a backend with one writer.
//!
//! Writes wait in a [`WriteQueue`] in the order of their calls. The backend's writer takes all that wait as one
//! batch, commits it as one transaction ([`commit_batch`]), and only then are they answered, all at once. Postgres, which
//! can commit several batches at a time, has a queue for each session instead (`postgres/queue.rs`).

use std::borrow::Cow;
use std::collections::VecDeque;

use super::answer::{Answer, Completion};
use super::backlog::Admitted;
use super::error::{Quoted, StoreError, catching};
use super::model::{SessionEvent, SessionRecord};

/// How much text one transaction takes at most, so that no batch holds the write lock, or keeps its callers, for long.
pub const MAX_BATCH_BYTES: usize = 16 << 20;

/// How long the JSON text of one record or event may be: V8's longest string, 2^29 - 24, which it counts in bytes when
/// it takes UTF-8, less the frame of a page.
pub const MAX_WRITE_BYTES: usize = (1 << 29) - 24 - 1024;

/// A write as it was called: JSON text, not yet looked at.
#[derive(Debug)]
pub enum WriteRequest {
    /// Insert or replace a session: the record's JSON text.
    UpdateSession {
        /// JSON text of the record.
        record: String,
    },
    /// Insert an event.
    InsertEvent {
        /// The session the event was given for.
        session_id: String,
        /// JSON text of the event.
        event: String,
    },
}

/// A write that has been read and checked.
#[derive(Debug)]
pub enum Write<'a> {
    /// Insert or replace a session.
    UpdateSession(SessionRecord<'a>),
    /// Insert an event.
    InsertEvent(SessionEvent<'a>),
}

impl Write<'_> {
    /// What an error says was being done; the name of the database follows.
    #[must_use]
    pub fn doing(&self) -> String {
        match self {
            Self::UpdateSession(record) => format!("writing session {} to", Quoted(&record.id)),
            Self::InsertEvent(event) => {
                format!(
                    "writing event {} of session {} to",
                    event.event_index,
                    Quoted(&event.session_id)
                )
            }
        }
    }

    /// The session that is written to.
    #[must_use]
    pub fn session_id(&self) -> &str {
        match self {
            Self::UpdateSession(record) => &record.id,
            Self::InsertEvent(event) => &event.session_id,
        }
    }
}

impl WriteRequest {
    /// How long its JSON text is.
    #[must_use]
    pub fn bytes(&self) -> usize {
        match self {
            Self::UpdateSession { record } => record.len(),
            Self::InsertEvent { event, .. } => event.len(),
        }
    }

    /// How much text it keeps in memory.
    #[must_use]
    pub fn text_bytes(&self) -> usize {
        match self {
            Self::UpdateSession { .. } => self.bytes(),
            Self::InsertEvent { session_id, .. } => session_id.len() + self.bytes(),
        }
    }

    /// The session that is written to; empty for a record that cannot be read, which will be refused.
    #[must_use]
    pub fn session_id(&self) -> Cow<'_, str> {
        match self {
            Self::UpdateSession { record } => {
                SessionRecord::parse(record).map_or(Cow::Borrowed(""), |record| record.id)
            }
            Self::InsertEvent { session_id, .. } => Cow::Borrowed(session_id),
        }
    }

    /// Reads and checks it.
    pub fn parse(&self) -> Result<Write<'_>, StoreError> {
        if self.bytes() > MAX_WRITE_BYTES {
            return Err(StoreError::invalid(format!(
                "the record or event is too large: its JSON text has {} bytes, and no more than {MAX_WRITE_BYTES} could ever be \
                 read back into JavaScript",
                self.bytes()
            )));
        }
        match self {
            Self::UpdateSession { record } => SessionRecord::parse(record).map(Write::UpdateSession),
            Self::InsertEvent { session_id, event } => SessionEvent::parse(session_id, event).map(Write::InsertEvent),
        }
    }
}

/// What came of a write.
pub type WriteResult = Result<Answer, StoreError>;

/// What a backend does for group commit.
pub trait Backend {
    /// Commits `writes` in their order as one transaction, and says for each, in the same order,
    /// what came of it. A write that fails by itself fails alone.
    fn commit(&mut self, writes: &[Write<'_>]) -> Vec<WriteResult>;
}

/// A write and its caller's ticket.
pub type Queued<T> = (Admitted<WriteRequest>, T);

/// The writes that wait for the next batch, in the order of their calls.
#[derive(Debug)]
pub struct WriteQueue<T> {
    waiting: VecDeque<Queued<T>>,
}

impl<T> Default for WriteQueue<T> {
    fn default() -> Self {
        Self {
            waiting: VecDeque::new(),
        }
    }
}

impl<T> WriteQueue<T> {
    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Puts a write at the end.
    pub fn push(&mut self, request: Admitted<WriteRequest>, ticket: T) {
        self.waiting.push_back((request, ticket));
    }

    /// Takes all that wait, in order, up to [`MAX_BATCH_BYTES`]; at least one write, if there is one.
    pub fn take_batch(&mut self) -> Vec<Queued<T>> {
        let mut batch = Vec::new();
        let mut bytes = 0;
        while let Some((request, _)) = self.waiting.front() {
            if !batch.is_empty() && bytes + request.bytes() > MAX_BATCH_BYTES {
                break;
            }
            bytes += request.bytes();
            batch.extend(self.waiting.pop_front());
        }
        batch
    }

    /// Takes everything out, for a store that will not write it.
    pub fn drain(&mut self) -> impl Iterator<Item = T> + '_ {
        self.waiting.drain(..).map(|(_, ticket)| ticket)
    }
}

/// Reads, commits and answers one batch. A write that cannot be read is answered with its error; the rest commits.
pub fn commit_batch<T>(backend: &mut impl Backend, batch: Vec<Queued<T>>) -> Vec<Completion<T>> {
    let (requests, tickets): (Vec<_>, Vec<_>) = batch.into_iter().unzip();
    let results = catching(COMMITTING, || {
        let batch = Batch::parse(requests.iter().map(|request: &Admitted<_>| &**request));
        let results = backend.commit(&batch.writes);
        Ok(batch.merge(results))
    });
    let results = results.unwrap_or_else(|error| vec![Err(error); requests.len()]);
    tickets.into_iter().zip(results).collect()
}

/// What an error that is a mistake of ours says was being done.
pub const COMMITTING: &str = "committing a batch";

/// A batch whose texts have been read: the writes that are sound, and where the others stood.
struct Batch<'a> {
    writes: Vec<Write<'a>>,
    refused: Vec<(usize, StoreError)>,
}

impl<'a> Batch<'a> {
    fn parse(requests: impl IntoIterator<Item = &'a WriteRequest>) -> Self {
        let (mut writes, mut refused) = (Vec::new(), Vec::new());
        for (position, request) in requests.into_iter().enumerate() {
            match request.parse() {
                Ok(write) => writes.push(write),
                Err(error) => refused.push((position, error)),
            }
        }
        Self { writes, refused }
    }

    /// What came of each write as it was called, from what came of those that are sound.
    fn merge(self, mut results: Vec<WriteResult>) -> Vec<WriteResult> {
        // In ascending order of position, so that each lands where its write was.
        for (position, error) in self.refused {
            results.insert(position, Err(error));
        }
        results
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::backlog::Backlog;
    use super::super::error::ErrorKind;
    use super::*;

    fn event(index: i64, payload_bytes: usize) -> Admitted<WriteRequest> {
        let event = WriteRequest::InsertEvent {
            session_id: "s".into(),
            event: format!(
                r#"{{"id":"e","eventIndex":{index},"sessionId":"s","createdAt":1,"connectionId":"c","sender":"agent","payload":"{}"}}"#,
                "x".repeat(payload_bytes)
            ),
        };
        Backlog::new().admit(event, 0).unwrap()
    }

    struct Indexes(Vec<i64>);

    impl Backend for Indexes {
        fn commit(&mut self, writes: &[Write<'_>]) -> Vec<WriteResult> {
            for write in writes {
                if let Write::InsertEvent(event) = write {
                    self.0.push(event.event_index);
                }
            }
            writes.iter().map(|_| Ok(Answer::Done)).collect()
        }
    }

    #[test]
    fn a_write_that_cannot_be_read_is_refused_alone_and_the_answers_keep_their_order() {
        let mut queue = WriteQueue::default();
        for index in [-1, 5, -2, 6] {
            queue.push(event(index, 0), index);
        }
        let mut backend = Indexes(Vec::new());
        let answers = commit_batch(&mut backend, queue.take_batch());
        let stored: Vec<_> = answers
            .iter()
            .map(|(ticket, result)| (*ticket, result.is_ok()))
            .collect();
        assert_eq!(stored, [(-1, false), (5, true), (-2, false), (6, true)]);
        assert_eq!(backend.0, [5, 6]);
        assert!(queue.is_empty());
    }

    struct Broken;

    impl Backend for Broken {
        fn commit(&mut self, _: &[Write<'_>]) -> Vec<WriteResult> {
            panic!("a mistake")
        }
    }

    #[test]
    fn a_panic_in_the_backend_answers_every_write_of_the_batch() {
        let answers = commit_batch(&mut Broken, vec![(event(1, 0), 1), (event(2, 0), 2)]);
        let kinds: Vec<_> = answers
            .into_iter()
            .map(|(_, result)| result.unwrap_err().kind)
            .collect();
        assert_eq!(kinds, [ErrorKind::Internal, ErrorKind::Internal]);
    }

    #[test]
    fn a_write_that_could_never_be_read_back_is_refused() {
        let answers = commit_batch(&mut Indexes(Vec::new()), vec![(event(1, MAX_WRITE_BYTES), 1)]);
        let kinds: Vec<_> = answers
            .into_iter()
            .map(|(_, result)| result.unwrap_err().kind)
            .collect();
        assert_eq!(kinds, [ErrorKind::InvalidArgument]);
    }

    #[test]
    fn a_batch_is_bounded_and_keeps_the_order() {
        let mut queue = WriteQueue::default();
        for index in 0..3 {
            queue.push(event(index, MAX_BATCH_BYTES / 2), index);
        }
        queue.push(event(3, MAX_BATCH_BYTES * 2), 3);
        let mut batches = Vec::new();
        while !queue.is_empty() {
            batches.push(
                queue
                    .take_batch()
                    .into_iter()
                    .map(|(_, ticket)| ticket)
                    .collect::<Vec<_>>(),
            );
        }
        assert_eq!(batches, [vec![0], vec![1], vec![2], vec![3]]);
    }
}
