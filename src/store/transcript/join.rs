//! Makes one event of a run of events that are pieces of one streamed message. The steps of compaction call it with a session's
//! events in their order.

use super::chunk::Chunk;

/// How much text a joined event has at most, in bytes of its JSON text.
pub const MAX_TEXT_BYTES: usize = 1 << 20;

/// An event of which the one before it is missing may follow one that is still under way, unless it is as old as this, in milliseconds.
const SETTLED_MS: i64 = 60_000;

/// An event, as far as it matters whether it can be joined.
#[derive(Debug, Clone, Copy)]
pub struct Row<'a> {
    /// Its place in the session.
    pub index: i64,
    /// When it was made, if that is known.
    pub created_at: Option<i64>,
    /// Who has sent it.
    pub sender: &'a str,
    /// The connection that carried it.
    pub connection_id: &'a str,
    /// JSON text. There is none where it is too long to be a chunk, or no text at all.
    pub payload: Option<&'a str>,
    /// The fields that this release does not know, as JSON text.
    pub extra: Option<&'a str>,
}

/// Events that become one: the last of them gets the text of all, and the others go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// The index of the first one.
    pub first: i64,
    /// The index of the last one, which stays.
    pub last: i64,
    /// How many go.
    pub removed: u64,
    /// The payload of the one that stays.
    pub payload: String,
    /// How much JSON text goes with the others.
    pub saved_bytes: u64,
}

/// A run that more events may belong to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenRun {
    /// The index of its last event so far.
    pub last: i64,
    /// How much text the events before that one have, in bytes of their JSON text.
    pub earlier_bytes: usize,
}

/// Takes a session's events in their order, and finds the runs among them.
#[derive(Debug)]
pub struct Joiner {
    now: i64,
    run: Option<Collected>,
    /// How much longer the text of the first event is taken to be.
    longer_by: usize,
}

#[derive(Debug)]
struct Collected {
    sender: String,
    connection_id: String,
    extra: Option<String>,
    before: String,
    after: String,
    text: String,
    /// How much text comes before `text`, without being here.
    longer_by: usize,
    first: i64,
    last: i64,
    last_is_settled: bool,
    /// How long the text of the last event is.
    last_bytes: usize,
    removed: u64,
    bytes: u64,
}

impl Joiner {
    /// `now` is in milliseconds since 1970. The first event counts as one with so many bytes of text more than it has.
    #[must_use]
    pub fn new(now: i64, longer_by: usize) -> Self {
        Self {
            now,
            run: None,
            longer_by,
        }
    }

    /// Takes the next event. Comes back with the run that it ends, if that has several.
    pub fn push(&mut self, row: &Row<'_>) -> Option<Run> {
        let longer_by = std::mem::take(&mut self.longer_by);
        let chunk = row.payload.and_then(|payload| match &self.run {
            Some(run) => Chunk::read_like(payload, &run.before, &run.after),
            None => Chunk::read(payload),
        });
        let Some(chunk) = chunk else {
            return self.run.take().and_then(Collected::into_run);
        };
        let is_settled = row
            .created_at
            .is_some_and(|at| at < self.now.saturating_sub(SETTLED_MS));
        if let Some(run) = &mut self.run
            && run.takes(row, &chunk, is_settled)
        {
            run.push(row, &chunk, is_settled);
            return None;
        }
        let begun = Collected::begin(row, &chunk, is_settled, longer_by);
        let ended = self.run.replace(begun);
        ended.and_then(Collected::into_run)
    }

    /// Ends with what has come: the last run, if it has several events, and where it goes on.
    #[must_use]
    pub fn finish(self) -> (Option<Run>, Option<OpenRun>) {
        let open = self.run.as_ref().map(|run| OpenRun {
            last: run.last,
            earlier_bytes: run.text_bytes() - run.last_bytes,
        });
        (self.run.and_then(Collected::into_run), open)
    }
}

impl Collected {
    fn begin(row: &Row<'_>, chunk: &Chunk<'_>, is_settled: bool, longer_by: usize) -> Self {
        Self {
            sender: row.sender.to_owned(),
            connection_id: row.connection_id.to_owned(),
            extra: row.extra.map(str::to_owned),
            before: chunk.before.to_owned(),
            after: chunk.after.to_owned(),
            text: chunk.text.to_owned(),
            longer_by,
            first: row.index,
            last: row.index,
            last_is_settled: is_settled,
            last_bytes: chunk.text.len(),
            removed: 0,
            bytes: bytes_of(row),
        }
    }

    fn text_bytes(&self) -> usize {
        self.longer_by + self.text.len()
    }

    /// Whether the event belongs to the run.
    fn takes(&self, row: &Row<'_>, chunk: &Chunk<'_>, is_settled: bool) -> bool {
        let is_next = row.index.checked_sub(self.last) == Some(1);
        // Joined with an older event, a young one would look old, and be joined with what it was kept apart from.
        let stays_apart = is_settled && !self.last_is_settled;
        self.text_bytes() + chunk.text.len() <= MAX_TEXT_BYTES
            && chunk.before == self.before
            && chunk.after == self.after
            && row.sender == self.sender
            && row.connection_id == self.connection_id
            && row.extra == self.extra.as_deref()
            && (is_next || is_settled)
            && !stays_apart
    }

    fn push(&mut self, row: &Row<'_>, chunk: &Chunk<'_>, is_settled: bool) {
        self.text.push_str(chunk.text);
        self.last = row.index;
        self.last_is_settled = is_settled;
        self.last_bytes = chunk.text.len();
        self.removed += 1;
        self.bytes += bytes_of(row);
    }

    fn into_run(self) -> Option<Run> {
        if self.removed == 0 {
            return None;
        }
        let payload = [self.before, self.text, self.after].concat();
        let kept = payload.len() + self.extra.map_or(0, |extra| extra.len());
        Some(Run {
            first: self.first,
            last: self.last,
            removed: self.removed,
            saved_bytes: self.bytes.saturating_sub(kept as u64),
            payload,
        })
    }
}

fn bytes_of(row: &Row<'_>) -> u64 {
    let texts = [row.payload, row.extra].into_iter().flatten();
    texts.map(|text| text.len() as u64).sum()
}
