use super::*;
use crate::store::backlog::Backlog;
use crate::store::labels::LabelChanges;
use crate::store::statistics::Statistics;
use crate::store::write::{AdmittedWrite, WriteRequest};

fn push(queues: &mut SessionQueues<usize>, session: &str, ticket: usize) {
    let event = RowRequest::InsertEvent {
        session_id: session.to_owned(),
        event: String::new(),
    };
    push_write(queues, event, ticket);
}

fn push_write(queues: &mut SessionQueues<usize>, write: impl Into<WriteRequest>, ticket: usize) {
    let AdmittedWrite::OfSession(write) = write
        .into()
        .admit(&Backlog::new(Statistics::new()), Instant::now().into_std())
        .unwrap()
    else {
        panic!("a write of a session was expected");
    };
    queues.push(write, ticket);
}

fn take(queues: &mut SessionQueues<usize>, turn: Turn) -> Option<Batch<usize>> {
    match queues.take(turn, Instant::now())? {
        Work::Batch(batch) => Some(batch),
        Work::Single(single) => panic!("a batch was expected: {single:?}"),
    }
}

fn tickets(batch: &Batch<usize>) -> Vec<usize> {
    batch.writes.iter().map(|waiting| waiting.ticket).collect()
}

/// Ends a batch in which these sessions met a lock, and all others are settled.
fn put_back(queues: &mut SessionQueues<usize>, batch: Batch<usize>, locked: &[&str]) {
    let left = batch.writes.into_iter().map(|waiting| (waiting, Obstacle::Locked));
    let left = left
        .filter(|(waiting, _)| locked.contains(&&*waiting.session))
        .collect();
    queues.put_back(batch.sessions, left, &HashSet::new());
}

#[test]
fn a_session_has_one_turn_at_a_time_and_keeps_its_order() {
    let mut queues = SessionQueues::new();
    for (session, ticket) in [("a", 1), ("b", 2), ("a", 3)] {
        push(&mut queues, session, ticket);
    }
    let first = take(&mut queues, Turn::Shared).unwrap();
    assert_eq!(tickets(&first), [1, 3, 2]);
    push(&mut queues, "a", 4);
    push(&mut queues, "c", 5);
    assert_eq!(tickets(&take(&mut queues, Turn::Shared).unwrap()), [5]);
    put_back(&mut queues, first, &["a"]);
    assert!(take(&mut queues, Turn::Shared).is_none());
    assert_eq!(queues.next_locked().into_iter().count(), 1);
}

#[test]
fn the_locked_ones_of_many_sessions_are_found_and_the_others_go_on() {
    let mut queues = SessionQueues::new();
    let names: Vec<String> = (0..512).map(|number| format!("s{number}")).collect();
    let locked = ["s3", "s4", "s300"];
    for (ticket, name) in names.iter().enumerate() {
        push(&mut queues, name, ticket);
    }
    let all = take(&mut queues, Turn::Shared).unwrap();
    put_back(&mut queues, all, &names.iter().map(String::as_str).collect::<Vec<_>>());
    let mut tries = 0;
    while let Some(batch) = take(&mut queues, Turn::Suspects) {
        tries += 1;
        let sessions: Vec<String> = batch.sessions.iter().map(ToString::to_string).collect();
        let is_stuck = sessions.iter().any(|id| locked.contains(&&**id));
        let left: Vec<&str> = sessions.iter().filter(|_| is_stuck).map(String::as_str).collect();
        put_back(&mut queues, batch, &left);
    }
    assert_eq!(tries, 8 + 2 * 8 + 2 * 8);
    let left: HashSet<&str> = queues.locked.iter().map(|(_, id)| &**id).collect();
    assert_eq!(left, HashSet::from(locked));
    assert_eq!(queues.sessions.len(), 3);
}

#[test]
fn sessions_with_nothing_queued_are_forgotten_and_contested_ones_are_bounded() {
    let mut queues = SessionQueues::new();
    for number in 0..MAX_CONTESTED + 10 {
        let name = format!("s{number}");
        push(&mut queues, &name, number);
        let batch = take(&mut queues, Turn::Shared).unwrap();
        queues.put_back(batch.sessions, Vec::new(), &HashSet::from([name]));
    }
    assert!(queues.is_empty());
    assert_eq!(queues.known_contested.len(), MAX_CONTESTED);
    // One that has become quiet is like any other.
    let name = queues.known_contested.iter().last().unwrap().to_string();
    let known = queues.known_contested.clone();
    push(&mut queues, &name, 0);
    let batch = take(&mut queues, Turn::Contested).unwrap();
    queues.put_back(batch.sessions, Vec::new(), &HashSet::from([name.clone()]));
    assert_eq!(
        queues.known_contested, known,
        "one that stays contested takes nobody's place"
    );
    push(&mut queues, &name, 0);
    let batch = take(&mut queues, Turn::Contested).unwrap();
    assert_eq!(batch.concurrency, Concurrency::Pessimistic);
    put_back(&mut queues, batch, &[]);
    push(&mut queues, &name, 1);
    assert!(take(&mut queues, Turn::Shared).is_some());
}

fn take_single(queues: &mut SessionQueues<usize>, turn: Turn) -> Option<Box<WaitingSingle<usize>>> {
    match queues.take(turn, Instant::now())? {
        Work::Single(single) => Some(single),
        Work::Batch(batch) => panic!("one write was expected: {batch:?}"),
    }
}

#[test]
fn what_is_a_transaction_of_its_own_keeps_its_place_in_its_session() {
    let mut queues = SessionQueues::new();
    push(&mut queues, "a", 1);
    let set = SingleRequest::SetLabels {
        session_id: String::from("a"),
        changes: LabelChanges::default(),
    };
    push_write(&mut queues, set, 2);
    push(&mut queues, "a", 3);
    push(&mut queues, "b", 4);
    let first = take(&mut queues, Turn::Shared).unwrap();
    assert_eq!(tickets(&first), [1, 4]);
    assert!(take_single(&mut queues, Turn::Single).is_none());
    put_back(&mut queues, first, &["a"]);
    assert!(take_single(&mut queues, Turn::Single).is_none());
    std::thread::sleep(FIRST_PAUSE);
    let first = take(&mut queues, Turn::Locked).unwrap();
    assert_eq!(tickets(&first), [1]);
    put_back(&mut queues, first, &[]);
    assert!(take(&mut queues, Turn::Shared).is_none());
    let single = take_single(&mut queues, Turn::Single).unwrap();
    assert_eq!(single.ticket, 2);
    queues.put_back_single(single);
    std::thread::sleep(FIRST_PAUSE);
    let single = take_single(&mut queues, Turn::Locked).unwrap();
    queues.end_single(single.session);
    let last = take(&mut queues, Turn::Shared).unwrap();
    assert_eq!(tickets(&last), [3]);
    put_back(&mut queues, last, &[]);
    assert!(queues.is_empty());
}
