#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use rusqlite::Connection;
use tempfile::TempDir;

use crate::store::IndexConflict;
use crate::store::cap::Caps;
use crate::store::error::{ErrorKind, StoreError};
use crate::store::jobs::copy::{NoEvents, Selection, Source, StoreSource};
use crate::store::jobs::{JobStore, deliver_to};
use crate::store::load::{LoadStep, SessionPart};
use crate::store::sqlite::{Location, SqliteOptions, SqliteStore, Tables, Target};
use crate::store::tables::TablePrefix;
use crate::store::upkeep::UpkeepRequest;

/// More events than one page has.
const EVENTS: i64 = 7_000;

/// A store with one session, and the file as another program sees it.
fn store_of_one_session() -> (JobStore<()>, Connection, TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.db");
    let options = SqliteOptions {
        target: Target::new(Location::File(path.clone())),
        tables: Tables::with_prefix(&TablePrefix::default()),
        index_conflict: IndexConflict::Reassign,
        caps: Caps::default(),
    };
    let store = Arc::new(SqliteStore::open(options, deliver_to(Arc::new(drop))).unwrap());
    let jobs = JobStore::new(store);
    jobs.ready().unwrap();
    let event = |index: i64| {
        format!(
            r#"{{"id":"e{index}","eventIndex":{index},"sessionId":"s","createdAt":1,"connectionId":"c","sender":"agent","payload":"{index}"}}"#
        )
    };
    let part = SessionPart {
        session_id: String::from("s"),
        follows: None,
        events: (1..=EVENTS).map(event).collect(),
        end: None,
    };
    let step = UpkeepRequest::Load(LoadStep { parts: vec![part] });
    jobs.write(step.into()).unwrap();
    (jobs, Connection::open(path).unwrap(), directory)
}

/// How many events are read of the session, where another program does this after the first page.
fn read_while(sql: &str) -> Result<usize, ErrorKind> {
    let (jobs, file, _directory) = store_of_one_session();
    let mut source = StoreSource::new(jobs.clone(), Selection::All);
    source.next_session().unwrap().unwrap();
    let mut read = source.next_events().unwrap().len();
    assert!(i64::try_from(read).is_ok_and(|read| 1 < read && read < EVENTS));
    file.execute(sql, [i64::try_from(read).unwrap()]).unwrap();
    loop {
        match source.next_events() {
            Ok(events) if events.is_empty() => break,
            Ok(events) => read += events.len(),
            Err(NoEvents::Changed(StoreError { kind, .. })) => {
                // It goes on with the next session, of which there is none.
                assert!(source.next_events().unwrap().is_empty());
                assert!(source.next_session().unwrap().is_none());
                return Err(kind);
            }
            Err(NoEvents::Ended(ended)) => panic!("{ended:?}"),
        }
    }
    jobs.close().unwrap();
    Ok(read)
}

#[test]
fn pages_of_a_session_that_do_not_go_together_are_refused() {
    let all = usize::try_from(EVENTS).unwrap();
    assert_eq!(read_while("DELETE FROM events WHERE event_index < 0 AND ?1"), Ok(all));
    // These are not in a page that is still to come.
    assert_eq!(read_while("DELETE FROM events WHERE event_index < ?1"), Ok(all));
    let changed = Err(ErrorKind::Unavailable);
    assert_eq!(read_while("DELETE FROM events WHERE event_index <= ?1"), changed);
    assert_eq!(read_while("DELETE FROM events WHERE event_index < ?1 + 10"), changed);
    assert_eq!(read_while("DELETE FROM events WHERE ?1 > 0"), changed);
    assert_eq!(
        read_while("UPDATE events SET payload_json = '\"joined\"' WHERE event_index = ?1"),
        changed
    );
}
