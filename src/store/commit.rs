//! Group commit for a backend with one writer.
//!
//! Writes wait in a [`WriteQueue`] in the order of their calls. The backend's writer takes all that wait as one
//! batch, commits it as one transaction ([`commit_batch`]), and only then are they answered, all at once. Postgres, which
//! can commit several batches at a time, has a queue for each session instead (`postgres/queue.rs`).

use std::collections::VecDeque;

use super::answer::Completion;
use super::backlog::Admitted;
use super::error::{StoreError, catching};
use super::single::SingleRequest;
use super::statistics::{BatchTally, Statistics};
use super::upkeep::UpkeepRequest;
use super::write::{AdmittedWrite, RowRequest, SessionWrite, Write, WriteResult};

/// How much text one transaction takes at most, so that no batch holds the write lock, or keeps its callers, for long.
pub const MAX_BATCH_BYTES: usize = 16 << 20;

/// What a backend does for group commit.
pub trait Backend {
    /// Commits `writes` in their order as one transaction, and says for each, in the same order,
    /// what came of it. A write that fails by itself fails alone.
    fn commit(&mut self, writes: &[Write<'_>]) -> Vec<WriteResult>;

    /// Commits a write that is a transaction of its own; when it fails, nothing of it is stored.
    fn commit_single(&mut self, request: &SingleRequest) -> WriteResult;

    /// Does a write that is of no session.
    fn keep_up(&mut self, request: &UpkeepRequest) -> WriteResult;
}

/// A record or an event that waits, and its caller's ticket.
pub type QueuedRow<T> = (Admitted<RowRequest>, T);

/// What is one transaction.
#[derive(Debug)]
pub enum Batch<T> {
    /// Writes that are committed together, in order; one at least.
    Rows(Vec<QueuedRow<T>>),
    /// One that is a transaction of its own.
    Single(Admitted<SingleRequest>, T),
    /// One that is of no session.
    Upkeep(Admitted<UpkeepRequest>, T),
}

impl<T> Batch<T> {
    /// The sessions whose events it changes, each as often as it has a write to it.
    #[must_use]
    pub fn sessions_of_events(&self) -> Vec<&str> {
        match self {
            Self::Rows(rows) => {
                let sessions = rows.iter().filter_map(|(request, _)| request.session_of_events());
                sessions.collect()
            }
            Self::Single(request, _) => request.session_of_events().into_iter().collect(),
            Self::Upkeep(request, _) => request.sessions_of_events(),
        }
    }

    /// The session that it deletes, if it does.
    #[must_use]
    pub fn deleted_session(&self) -> Option<&str> {
        match self {
            Self::Single(request, _) => match &**request {
                SingleRequest::DeleteSession { session_id } => Some(session_id),
                SingleRequest::SetLabels { .. }
                | SingleRequest::Fork(_)
                | SingleRequest::Prune(_)
                | SingleRequest::Compact(_) => None,
            },
            Self::Rows(_) | Self::Upkeep(..) => None,
        }
    }
}

/// The writes that wait for the next batch, in the order of their calls.
#[derive(Debug)]
pub struct WriteQueue<T> {
    waiting: VecDeque<(AdmittedWrite, T)>,
}

impl<T> Default for WriteQueue<T> {
    fn default() -> Self {
        Self {
            waiting: VecDeque::new(),
        }
    }
}

impl<T> WriteQueue<T> {
    /// Puts a write at the end.
    pub fn push(&mut self, request: AdmittedWrite, ticket: T) {
        self.waiting.push_back((request, ticket));
    }

    /// Takes all that wait, in order, up to [`MAX_BATCH_BYTES`] and to the first that is a transaction of its own; nothing, if
    /// nothing waits.
    pub fn take_batch(&mut self) -> Option<Batch<T>> {
        let mut rows = Vec::new();
        let mut bytes = 0;
        while let Some((request, ticket)) = self.waiting.pop_front() {
            match request {
                AdmittedWrite::OfSession(SessionWrite::Row(request))
                    if rows.is_empty() || bytes + request.bytes() <= MAX_BATCH_BYTES =>
                {
                    bytes += request.bytes();
                    rows.push((request, ticket));
                }
                AdmittedWrite::OfSession(SessionWrite::Single(request)) if rows.is_empty() => {
                    return Some(Batch::Single(request, ticket));
                }
                AdmittedWrite::Upkeep(request) if rows.is_empty() => return Some(Batch::Upkeep(request, ticket)),
                next => {
                    self.waiting.push_front((next, ticket));
                    break;
                }
            }
        }
        (!rows.is_empty()).then_some(Batch::Rows(rows))
    }

    /// Takes everything out, for a store that will not write it.
    pub fn drain(&mut self) -> impl Iterator<Item = T> + '_ {
        self.waiting.drain(..).map(|(_, ticket)| ticket)
    }
}

/// Commits and answers one batch.
pub fn commit_batch<T>(backend: &mut impl Backend, batch: Batch<T>, statistics: &Statistics) -> Vec<Completion<T>> {
    let mut tally = BatchTally::begin(statistics);
    match batch {
        Batch::Rows(rows) => commit_rows(backend, rows, tally),
        Batch::Single(request, ticket) => {
            let result = catching(COMMITTING, || backend.commit_single(&request));
            tally.add(&*request, request.text_bytes(), &result);
            tally.end();
            vec![(ticket, result)]
        }
        Batch::Upkeep(request, ticket) => {
            let result = catching(COMMITTING, || backend.keep_up(&request));
            vec![(ticket, result)]
        }
    }
}

/// Reads, commits and answers writes. One that cannot be read is answered with its error; the rest commits.
fn commit_rows<T>(
    backend: &mut impl Backend,
    rows: Vec<QueuedRow<T>>,
    mut tally: BatchTally<'_>,
) -> Vec<Completion<T>> {
    let (requests, tickets): (Vec<_>, Vec<_>) = rows.into_iter().unzip();
    let results = catching(COMMITTING, || {
        let batch = Rows::parse(requests.iter().map(|request: &Admitted<_>| &**request));
        let results = backend.commit(&batch.writes);
        Ok(batch.merge(results))
    });
    let results = results.unwrap_or_else(|error| vec![Err(error); requests.len()]);
    for (request, result) in requests.iter().zip(&results) {
        tally.add(&**request, request.bytes(), result);
    }
    tally.end();
    tickets.into_iter().zip(results).collect()
}

/// What an error that is a mistake of ours says was being done.
pub const COMMITTING: &str = "committing a batch";

/// A batch whose texts have been read: the writes that are sound, and where the others stood.
struct Rows<'a> {
    writes: Vec<Write<'a>>,
    refused: Vec<(usize, StoreError)>,
}

impl<'a> Rows<'a> {
    fn parse(requests: impl IntoIterator<Item = &'a RowRequest>) -> Self {
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
    use std::time::Instant;

    use super::super::answer::Answer;
    use super::super::backlog::Backlog;
    use super::super::error::ErrorKind;
    use super::super::labels::LabelChanges;
    use super::super::write::{MAX_WRITE_BYTES, WriteRequest};
    use super::*;

    fn event(index: i64, payload_bytes: usize) -> Admitted<RowRequest> {
        let event = RowRequest::InsertEvent {
            session_id: "s".into(),
            event: format!(
                r#"{{"id":"e","eventIndex":{index},"sessionId":"s","createdAt":1,"connectionId":"c","sender":"agent","payload":"{}"}}"#,
                "x".repeat(payload_bytes)
            ),
        };
        Backlog::new(Statistics::new()).admit(event, 0, Instant::now()).unwrap()
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

        fn commit_single(&mut self, _: &SingleRequest) -> WriteResult {
            Ok(Answer::Done)
        }

        fn keep_up(&mut self, _: &UpkeepRequest) -> WriteResult {
            Ok(Answer::Done)
        }
    }

    #[test]
    fn a_write_that_cannot_be_read_is_refused_alone_and_the_answers_keep_their_order() {
        let batch = [-1, 5, -2, 6].map(|index| (event(index, 0), index));
        let mut backend = Indexes(Vec::new());
        let answers = commit_batch(&mut backend, Batch::Rows(batch.into()), &Statistics::new());
        let stored: Vec<_> = answers
            .iter()
            .map(|(ticket, result)| (*ticket, result.is_ok()))
            .collect();
        assert_eq!(stored, [(-1, false), (5, true), (-2, false), (6, true)]);
        assert_eq!(backend.0, [5, 6]);
    }

    struct Broken;

    impl Backend for Broken {
        fn commit(&mut self, _: &[Write<'_>]) -> Vec<WriteResult> {
            panic!("a mistake")
        }

        fn commit_single(&mut self, _: &SingleRequest) -> WriteResult {
            panic!("a mistake")
        }

        fn keep_up(&mut self, _: &UpkeepRequest) -> WriteResult {
            panic!("a mistake")
        }
    }

    #[test]
    fn a_panic_in_the_backend_answers_every_write_of_the_batch() {
        let answers = commit_batch(
            &mut Broken,
            Batch::Rows(vec![(event(1, 0), 1), (event(2, 0), 2)]),
            &Statistics::new(),
        );
        let kinds: Vec<_> = answers
            .into_iter()
            .map(|(_, result)| result.unwrap_err().kind)
            .collect();
        assert_eq!(kinds, [ErrorKind::Internal, ErrorKind::Internal]);
    }

    #[test]
    fn a_write_that_could_never_be_read_back_is_refused() {
        let answers = commit_batch(
            &mut Indexes(Vec::new()),
            Batch::Rows(vec![(event(1, MAX_WRITE_BYTES), 1)]),
            &Statistics::new(),
        );
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
            queue.push(SessionWrite::Row(event(index, MAX_BATCH_BYTES / 2)).into(), index);
        }
        queue.push(SessionWrite::Row(event(3, MAX_BATCH_BYTES * 2)).into(), 3);
        assert_eq!(batches(&mut queue), [vec![0], vec![1], vec![2], vec![3]]);
    }

    #[test]
    fn what_is_a_transaction_of_its_own_keeps_its_place() {
        let mut queue = WriteQueue::default();
        for ticket in 0..7 {
            let write = if [0, 3, 4].contains(&ticket) {
                let set = SingleRequest::SetLabels {
                    session_id: "s".into(),
                    changes: LabelChanges::default(),
                };
                WriteRequest::Single(set)
                    .admit(&Backlog::new(Statistics::new()), Instant::now())
                    .unwrap()
            } else {
                SessionWrite::Row(event(ticket, 0)).into()
            };
            queue.push(write, ticket);
        }
        assert_eq!(batches(&mut queue), [vec![0], vec![1, 2], vec![3], vec![4], vec![5, 6]]);
    }

    fn batches(queue: &mut WriteQueue<i64>) -> Vec<Vec<i64>> {
        std::iter::from_fn(|| {
            Some(match queue.take_batch()? {
                Batch::Rows(rows) => rows.into_iter().map(|(_, ticket)| ticket).collect(),
                Batch::Single(_, ticket) | Batch::Upkeep(_, ticket) => vec![ticket],
            })
        })
        .collect()
    }
}
