//! Joining events of a session, and what has to be read for it. `single` calls it within a transaction, and `read` to count.

use std::time::{Duration, Instant};

use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row as SqliteRow, params};

use super::single::Failure;
use super::tables::Tables;
use crate::store::JobAnswer;
use crate::store::compaction::FoundMessages;
use crate::store::compaction::{
    CompactionStep, LastEvent, MAX_PAYLOAD_BYTES, Plan, ROWS_AT_ONCE, StepDone, UPDATE_LITERALS,
};
use crate::store::mode::Mode;
use crate::store::transcript::{Message, Row, Run};

/// How long a step should take, since all other writes wait for it.
const STEP_TIME: Duration = Duration::from_millis(8);

/// After how long it reads no more, however few it has read.
const READING_TIME: Duration = Duration::from_millis(5);

/// How many events a step looks at, which is learnt: so many that it takes as long as it should.
#[derive(Debug, Clone, Copy)]
struct StepSize {
    time: Duration,
    rows: u32,
}

impl StepSize {
    const FEWEST: u32 = 50;
    const MOST: u32 = 5_000;

    /// For steps that should take so long.
    fn taking(time: Duration) -> Self {
        Self { time, rows: 500 }
    }

    /// How many the next step looks at.
    fn rows(self) -> i64 {
        self.rows.into()
    }

    /// The last step took so long, with as many as it could have.
    fn took(&mut self, time: Duration) {
        let rows = u128::from(self.rows) * self.time.as_micros() / time.as_micros().max(1);
        let most = (self.rows * 2).min(Self::MOST);
        self.rows = u32::try_from(rows).unwrap_or(most).clamp(Self::FEWEST, most);
    }
}

/// The statements, and how many events a step looks at.
pub(super) struct Compaction {
    table: String,
    size: StepSize,
    is_there: String,
    read: String,
    remove: String,
    replace: String,
    find_messages: String,
}

impl Compaction {
    pub(super) fn new(Tables { events, .. }: &Tables) -> Self {
        let is_no_update = UPDATE_LITERALS
            .map(|literal| format!("instr(payload_json, '{literal}') = 0"))
            .join(" AND ");
        Self {
            table: events.plain.clone(),
            size: StepSize::taking(STEP_TIME),
            is_there: format!(
                "SELECT EXISTS (SELECT 1 FROM {events} WHERE session_id = ?1 AND event_index = ?2 AND id = ?3)"
            ),
            // What is longer is on pages of its own, which are not read then.
            read: format!(
                "SELECT event_index, created_at, sender, connection_id, \
                   CASE WHEN octet_length(payload_json) <= {MAX_PAYLOAD_BYTES} THEN payload_json END, extra_json \
                 FROM {events} WHERE session_id = ?1 AND event_index >= ?2 AND event_index <= ?3 ORDER BY event_index LIMIT ?4"
            ),
            remove: format!("DELETE FROM {events} WHERE session_id = ?1 AND event_index >= ?2 AND event_index < ?3"),
            replace: format!("UPDATE {events} SET payload_json = ?3 WHERE session_id = ?1 AND event_index = ?2"),
            find_messages: format!(
                "SELECT event_index, CAST(id AS TEXT), sender, connection_id, \
                   CASE WHEN {is_no_update} THEN payload_json END \
                 FROM {events} WHERE session_id = ?1 AND event_index < ?2 ORDER BY event_index DESC LIMIT {ROWS_AT_ONCE}"
            ),
        }
    }

    /// Takes a step, in the transaction that is open.
    pub(super) fn take(&mut self, connection: &Connection, step: &CompactionStep) -> Result<JobAnswer, Failure> {
        let started = Instant::now();
        let (runs, done) = self.plan(connection, step, Mode::Run, self.size.rows())?;
        for run in &runs {
            self.join(connection, &step.session_id, run)?;
        }
        if done.next.is_some() {
            self.size.took(started.elapsed());
        }
        Ok(JobAnswer::Compacted(done))
    }

    /// Says what a step would do.
    pub(super) fn count(&self, connection: &Connection, step: &CompactionStep) -> rusqlite::Result<JobAnswer> {
        let (_, done) = self.plan(connection, step, Mode::DryRun, ROWS_AT_ONCE)?;
        Ok(JobAnswer::Compacted(done))
    }

    fn plan(
        &self,
        connection: &Connection,
        CompactionStep { session_id, start, end }: &CompactionStep,
        mode: Mode,
        limit: i64,
    ) -> rusqlite::Result<(Vec<Run>, StepDone)> {
        let mut plan = Plan::new(*start, mode);
        let is_there: bool = connection
            .prepare_cached(&self.is_there)?
            .query_row(params![session_id, end.index, end.id], |row| row.get(0))?;
        if !is_there {
            return Ok(plan.finish(false));
        }
        let started = Instant::now();
        let mut read = connection.prepare_cached(&self.read)?;
        // One more shows whether there are others.
        let mut rows = read.query(params![session_id, start.index(), end.index, limit + 1])?;
        let mut left = limit;
        while let Some(row) = rows.next()? {
            // Two at least, since the first may be the one with which the last step has ended.
            if left == 0 || (left <= limit - 2 && started.elapsed() > READING_TIME) {
                return Ok(plan.finish(true));
            }
            left -= 1;
            plan.push(&event(row)?);
        }
        Ok(plan.finish(false))
    }

    fn join(&self, connection: &Connection, session_id: &str, run: &Run) -> Result<(), Failure> {
        let removed = connection
            .prepare_cached(&self.remove)?
            .execute(params![session_id, run.first, run.last])?;
        let replaced = connection
            .prepare_cached(&self.replace)?
            .execute(params![session_id, run.last, run.payload])?;
        // Nobody else writes in this transaction, but triggers do.
        if removed as u64 != run.removed || replaced != 1 {
            return Err(Failure::Kept(self.table.clone()));
        }
        Ok(())
    }

    /// The messages among the events before that index.
    pub(super) fn find_messages(
        &self,
        connection: &Connection,
        session_id: &str,
        below: Option<i64>,
    ) -> rusqlite::Result<JobAnswer> {
        let mut find = connection.prepare_cached(&self.find_messages)?;
        let mut rows = find.query(params![session_id, below.unwrap_or(i64::MAX)])?;
        let (mut newest, mut oldest, mut messages) = (None, None, Vec::new());
        let mut left = ROWS_AT_ONCE;
        while let Some(row) = rows.next()? {
            left -= 1;
            let index = row.get(0)?;
            let texts = [text(row, 1)?, text(row, 2)?, text(row, 3)?, text(row, 4)?];
            let [id, sender, connection_id, payload] = texts.map(|text| text.flatten().unwrap_or_default());
            oldest = Some(index);
            newest.get_or_insert_with(|| LastEvent {
                index,
                id: id.to_owned(),
            });
            messages.extend(Message::read(index, id, sender, connection_id, payload));
        }
        Ok(JobAnswer::Messages(Box::new(FoundMessages {
            newest,
            messages,
            oldest: oldest.filter(|_| left == 0),
        })))
    }
}

/// An event. One with a value that another program must have written is none that can be joined.
fn event<'a>(row: &'a SqliteRow<'_>) -> rusqlite::Result<Row<'a>> {
    let texts = [text(row, 2)?, text(row, 3)?, text(row, 4)?, text(row, 5)?];
    let [sender, connection_id, payload, extra] = texts.map(Option::flatten);
    Ok(Row {
        index: row.get(0)?,
        created_at: match row.get_ref(1)? {
            ValueRef::Integer(time) => Some(time),
            _ => None,
        },
        sender: sender.unwrap_or_default(),
        connection_id: connection_id.unwrap_or_default(),
        payload: payload.filter(|_| texts.iter().all(Option::is_some)),
        extra,
    })
}

/// A text column, or NULL; nothing, if it holds something else.
#[allow(clippy::option_option)] // NULL is a value
fn text<'a>(row: &'a SqliteRow<'_>, column: usize) -> rusqlite::Result<Option<Option<&'a str>>> {
    Ok(match row.get_ref(column)? {
        ValueRef::Null => Some(None),
        ValueRef::Text(text) => str::from_utf8(text).ok().map(Some),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_become_as_large_as_their_time_allows() {
        let mut size = StepSize::taking(Duration::from_millis(10));
        for _ in 0..10 {
            size.took(Duration::from_millis(1));
        }
        assert_eq!(size.rows(), i64::from(StepSize::MOST));
        size.took(Duration::from_millis(100));
        assert_eq!(size.rows(), 500);
        for _ in 0..3 {
            size.took(Duration::from_secs(10));
        }
        assert_eq!(size.rows(), i64::from(StepSize::FEWEST));
    }
}
