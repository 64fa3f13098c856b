#![allow(clippy::unwrap_used)]

use std::sync::{Arc, mpsc};

use rusqlite::Connection;
use serde_json::value::RawValue;
use tempfile::TempDir;

use super::*;
use crate::store::cap::Caps;
use crate::store::follow::FollowerId;
use crate::store::jobs::{JobStore, Recipient, deliver_to};
use crate::store::labels::LabelChanges;
use crate::store::load::{SessionEnd, SessionPart};
use crate::store::single::SingleRequest;
use crate::store::sqlite::{Location, SqliteOptions, SqliteStore, Tables, Target};
use crate::store::tables::TablePrefix;
use crate::store::upkeep::UpkeepRequest;
use crate::store::write::RowRequest;
use crate::store::{IndexConflict, ReadRequest, Store};

/// A store in a file of its own, and the file as another program sees it.
struct Fixture {
    store: Arc<SqliteStore<Recipient<u8>>>,
    jobs: JobStore<u8>,
    answers: mpsc::Receiver<Answer>,
    file: Connection,
    _directory: TempDir,
}

impl Fixture {
    fn new() -> Self {
        Self::with("", Caps::default())
    }

    /// In a file in which another program has run this.
    fn with(sql: &str, caps: Caps) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("store.db");
        let file = Connection::open(&path).unwrap();
        file.execute_batch(sql).unwrap();
        let options = SqliteOptions {
            target: Target::new(Location::File(path)),
            tables: Tables::with_prefix(&TablePrefix::default()),
            index_conflict: IndexConflict::Reassign,
            caps,
        };
        let (answered, answers) = mpsc::channel();
        let deliver = deliver_to(Arc::new(move |completions: Vec<(u8, Result<Answer, StoreError>)>| {
            for (_, result) in completions {
                answered.send(result.unwrap()).unwrap();
            }
        }));
        let store = Arc::new(SqliteStore::open(options, deliver).unwrap());
        let jobs = JobStore::new(store.clone());
        jobs.ready().unwrap();
        Self {
            store,
            jobs,
            answers,
            file,
            _directory: directory,
        }
    }

    fn load(&self, parts: Vec<SessionPart>) -> Vec<Result<(), ErrorKind>> {
        let step = UpkeepRequest::Load(LoadStep { parts });
        let Answer::OfJob(JobAnswer::Loaded(loaded)) = self.jobs.write(step.into()).unwrap() else {
            panic!("a load is answered with what came of its parts");
        };
        let kinds = loaded.parts.into_iter().map(|part| part.map_err(|error| error.kind));
        kinds.collect()
    }

    fn take_back(&self, session_id: &str, after_index: i64, through_index: i64) -> TakenBack {
        let session_id = session_id.to_owned();
        let request = UpkeepRequest::TakeBack(TakeBack {
            session_id,
            after_index,
            through_index,
        });
        let Answer::OfJob(JobAnswer::TakenBack(taken)) = self.jobs.write(request.into()).unwrap() else {
            panic!("taking back is answered with how much that was");
        };
        taken
    }

    fn insert(&self, session_id: &str, event: String) -> Answer {
        let session_id = session_id.to_owned();
        self.jobs
            .write(RowRequest::InsertEvent { session_id, event }.into())
            .unwrap()
    }

    /// The places and ids of all events: `session index id`.
    fn events(&self) -> Vec<String> {
        let sql = "SELECT session_id || ' ' || event_index || ' ' || id FROM events ORDER BY session_id, event_index";
        let mut statement = self.file.prepare(sql).unwrap();
        let rows = statement.query_map([], |row| row.get(0)).unwrap();
        rows.collect::<Result<_, _>>().unwrap()
    }
}

fn event(session_id: &str, index: i64, id: &str) -> String {
    format!(
        r#"{{"id":"{id}","eventIndex":{index},"sessionId":"{session_id}","createdAt":1,"connectionId":"c","sender":"agent","payload":"\u0000\ud800","new":1e21}}"#
    )
}

/// The events with these indexes, each with an id that no other session has.
fn part(session_id: &str, indexes: impl IntoIterator<Item = i64>) -> SessionPart {
    let texts = indexes
        .into_iter()
        .map(|index| event(session_id, index, &format!("{session_id}{index}")));
    SessionPart {
        session_id: session_id.to_owned(),
        follows: None,
        events: texts.collect(),
        end: None,
    }
}

fn record(session_id: &str) -> String {
    format!(r#"{{"id":"{session_id}","agent":"a","agentSessionId":"b","lastConnectionId":"c","createdAt":1}}"#)
}

#[test]
fn what_is_loaded_is_there_to_the_byte_with_record_and_labels_and_loading_it_again_changes_nothing() {
    let store = Fixture::new();
    let mut labels = LabelChanges::default();
    labels.push(String::from("user"), Some(String::from("42"))).unwrap();
    let whole = SessionPart {
        end: Some(SessionEnd {
            record: Some(record("s")),
            labels,
        }),
        ..part("s", [0, 3, 7])
    };
    assert_eq!(store.load(vec![part("begun", 1..3), whole.clone()]), [Ok(()), Ok(())]);
    let before = store.events();
    assert_eq!(
        before,
        ["begun 1 begun1", "begun 2 begun2", "s 0 s0", "s 3 s3", "s 7 s7"]
    );
    assert_eq!(store.load(vec![part("begun", 1..3), whole]), [Ok(()), Ok(())]);
    assert_eq!(store.events(), before);
    let (payload, extra): (String, String) = store
        .file
        .query_row(
            "SELECT payload_json, extra_json FROM events WHERE id = 's0'",
            [],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .unwrap();
    assert_eq!((&*payload, &*extra), (r#""\u0000\ud800""#, r#"{"new":1e21}"#));
    let labels = store.jobs.read(ReadRequest::GetLabels { session_id: "s".into() });
    assert_eq!(labels, Ok(Answer::Json(String::from(r#"{"user":"42"}"#))));
    let session = |id: &str| store.jobs.read(ReadRequest::GetSession { id: id.into() }).unwrap();
    assert_eq!(session("s"), Answer::Json(record("s")));
    assert_eq!(session("begun"), Answer::Absent);
}

#[test]
fn a_part_is_refused_whole_and_alone() {
    let store = Fixture::new();
    store.insert("taken", event("taken", 2, "other"));
    let delete = SingleRequest::DeleteSession {
        session_id: String::from("deleted"),
    };
    store.jobs.write(delete.into()).unwrap();
    let wrong = |texts: [String; 2]| SessionPart {
        events: texts.into(),
        ..part("s", [])
    };
    let loaded = store.load(vec![
        part("first", 1..3),
        part("taken", 1..4),
        part("deleted", 1..2),
        SessionPart {
            end: Some(SessionEnd {
                record: Some(record("of another")),
                ..SessionEnd::default()
            }),
            ..part("record", 1..2)
        },
        wrong([event("s", 1, "a"), String::from("{")]),
        part("s", 1..2),
        part("last", 1..3),
    ]);
    let wrong_argument = Err(ErrorKind::InvalidArgument);
    assert_eq!(
        loaded,
        [
            Ok(()),
            Err(ErrorKind::IndexConflict),
            Err(ErrorKind::NotFound),
            wrong_argument,
            wrong_argument,
            // A step has one part of a session.
            Err(ErrorKind::Internal),
            Ok(())
        ]
    );
    for texts in [
        [event("s", 1, "a"), event("t", 2, "b")],
        [event("s", 2, "a"), event("s", 2, "b")],
        [event("s", 2, "a"), event("s", 1, "b")],
    ] {
        assert_eq!(store.load(vec![wrong(texts)]), [wrong_argument]);
    }
    let events = store.events();
    assert_eq!(
        events,
        [
            "first 1 first1",
            "first 2 first2",
            "last 1 last1",
            "last 2 last2",
            "taken 2 other"
        ]
    );
}

#[test]
fn a_part_that_goes_on_is_refused_where_what_it_follows_is_gone() {
    let store = Fixture::new();
    let going_on = |follows, indexes| SessionPart {
        follows: Some(follows),
        ..part("s", indexes)
    };
    assert_eq!(store.load(vec![part("s", 1..3)]), [Ok(())]);
    assert_eq!(store.load(vec![going_on(2, 5..7)]), [Ok(())]);
    assert_eq!(store.load(vec![going_on(7, 8..9)]), [Err(ErrorKind::IndexConflict)]);
    assert_eq!(store.events(), ["s 1 s1", "s 2 s2", "s 5 s5", "s 6 s6"]);
}

#[test]
fn what_a_compaction_has_made_of_an_event_stays() {
    let store = Fixture::new();
    store.load(vec![part("s", 1..3)]);
    store
        .file
        .execute("DELETE FROM events WHERE event_index = 1", [])
        .unwrap();
    store
        .file
        .execute("UPDATE events SET payload_json = '\"joined\"'", [])
        .unwrap();
    assert_eq!(store.load(vec![part("s", 2..4)]), [Ok(())]);
    let payload: String = store
        .file
        .query_row("SELECT payload_json FROM events WHERE event_index = 2", [], |row| {
            row.get(0)
        })
        .unwrap();
    assert_eq!(payload, "\"joined\"");
}

#[test]
fn rules_of_a_tables_owner_refuse_the_part_that_breaks_them() {
    let sql = "CREATE TABLE events (id TEXT PRIMARY KEY, event_index INTEGER NOT NULL, session_id TEXT NOT NULL, \
                 created_at INTEGER NOT NULL, connection_id TEXT NOT NULL, sender TEXT NOT NULL, payload_json TEXT NOT NULL); \
               CREATE TRIGGER rolls_back BEFORE INSERT ON events WHEN new.id = 'bad1' BEGIN SELECT RAISE(ROLLBACK, 'no'); END; \
               CREATE TRIGGER aborts BEFORE INSERT ON events WHEN new.id = 'worse2' BEGIN SELECT RAISE(ABORT, 'no'); END; \
               CREATE TRIGGER ignores BEFORE INSERT ON events WHEN new.id = 'ignored2' BEGIN SELECT RAISE(IGNORE); END;";
    let store = Fixture::with(sql, Caps::default());
    let same_id = SessionPart {
        events: vec![event("same", 1, "first1")],
        ..part("same", [])
    };
    let parts = || {
        vec![
            part("first", 1..2),
            part("bad", 1..3),
            part("worse", 1..3),
            same_id.clone(),
            part("ignored", 1..3),
            part("last", 1..2),
        ]
    };
    let wrong = Err(ErrorKind::InvalidArgument);
    let expected = [Ok(()), wrong, wrong, wrong, wrong, Ok(())];
    assert_eq!(store.load(parts()), expected);
    assert_eq!(store.events(), ["first 1 first1", "last 1 last1"]);
    assert_eq!(store.load(parts()), expected);
}

#[test]
fn taking_back_removes_what_is_above_an_index_and_the_session_can_be_loaded_again() {
    let store = Fixture::new();
    assert_eq!(
        store.load(vec![part("s", 1..20_001), part("t", 1..3)]),
        [Ok(()), Ok(())]
    );
    let mut removed = 0;
    loop {
        let taken = store.take_back("s", 2, 20_000);
        removed += taken.events;
        // Whatever is left at any time is the beginning of what there was.
        let (count, highest): (i64, i64) = store
            .file
            .query_row(
                "SELECT count(*), max(event_index) FROM events WHERE session_id = 's'",
                [],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )
            .unwrap();
        assert_eq!(count, highest);
        if !taken.is_more {
            break;
        }
    }
    assert_eq!(removed, 19_998);
    assert_eq!(store.events(), ["s 1 s1", "s 2 s2", "t 1 t1", "t 2 t2"]);
    // Others have gone on with it.
    assert_eq!(store.take_back("s", -1, 1).events, 0);
    assert_eq!(store.take_back("s", -1, 2).events, 2);
    assert_eq!(store.load(vec![part("s", 1..2)]), [Ok(())]);
}

#[test]
fn followers_get_what_is_loaded_in_its_order() {
    let store = Fixture::new();
    let follower = FollowerId(1);
    store.store.follow(follower, "s", 0);
    let mut seen = Vec::new();
    let next = |seen: &mut Vec<i64>| {
        store.store.next_events(follower, Recipient::Caller(0));
        let Answer::Events(page) = store.answers.recv().unwrap() else {
            panic!("a follower is answered with events");
        };
        let page: Vec<&RawValue> = serde_json::from_str(&page).unwrap();
        let index = |event: &&RawValue| SessionEvent::parse("s", event.get()).unwrap().event_index;
        seen.extend(page.iter().map(index));
    };
    for first in [1, 4, 7] {
        store.load(vec![part("other", [first]), part("s", first..first + 3)]);
        while seen.len() < usize::try_from(first + 2).unwrap() {
            next(&mut seen);
        }
    }
    assert_eq!(seen, (1..10).collect::<Vec<_>>());
}
