//! The rules of following, without a database: an ordered map stands in for one session's events.

use std::collections::BTreeMap;
use std::time::Duration;

use super::*;
use crate::store::error::ErrorKind;
use crate::store::model::SessionEvent;

const SESSION: &str = "s";
const LONG_AGO: i64 = 0;
const JUST_NOW: i64 = 1_000_000_000;

/// A store with one session, and a clock that only the test moves.
struct Store {
    followers: Followers<u64>,
    events: BTreeMap<i64, i64>,
    start: Instant,
    now: Duration,
    asked: usize,
    tickets: u64,
}

impl Store {
    fn new() -> Self {
        Self {
            followers: Followers::default(),
            events: BTreeMap::new(),
            start: Instant::now(),
            now: Duration::ZERO,
            asked: 0,
            tickets: 0,
        }
    }

    fn moment(&self) -> Moment {
        Moment {
            instant: self.start + self.now,
            millis: JUST_NOW + i64::try_from(self.now.as_millis()).unwrap(),
        }
    }

    fn follow(&mut self, id: u64, after: i64) -> FollowerId {
        self.followers.follow(FollowerId(id), SESSION, after);
        FollowerId(id)
    }

    /// Stores events that were created at `created_at`, and has followers told, as a writer of this driver does.
    fn write(&mut self, indexes: impl IntoIterator<Item = i64>, created_at: i64) {
        self.events.extend(indexes.into_iter().map(|index| (index, created_at)));
        self.followers.written(SESSION);
    }

    fn wait(&mut self, milliseconds: u64) {
        self.now += Duration::from_millis(milliseconds);
    }

    /// Lets the follower wait, and comes back with what it is given now, if it is given anything.
    fn next(&mut self, id: FollowerId) -> Option<Vec<i64>> {
        self.tickets += 1;
        let ticket = self.tickets;
        let mut answers = Vec::from_iter(self.followers.next(id, ticket));
        answers.extend(self.answer());
        let answer = answers.into_iter().find(|(answered, _)| *answered == ticket);
        answer.map(|(_, answer)| indexes(&answer.unwrap()))
    }

    /// Answers what is asked until nothing is.
    fn answer(&mut self) -> Vec<Completion<u64>> {
        let mut answers = Vec::new();
        loop {
            let now = self.moment();
            let look = self.followers.look(now.instant, 1);
            if look.is_empty() {
                return answers;
            }
            for ask in look.asks {
                self.asked += 1;
                let mut events = Events::default();
                let range = ask.after + 1..ask.before.unwrap_or(i64::MAX);
                let mut found = self.events.range(range).take(MAX_EVENTS as usize + 1);
                found.all(|(index, created_at)| events.push(&event(*index, *created_at)));
                answers.extend(self.followers.found(&ask, &events, now));
            }
        }
    }
}

fn event(event_index: i64, created_at: i64) -> SessionEvent<'static> {
    SessionEvent {
        id: "e".into(),
        event_index,
        session_id: SESSION.into(),
        created_at,
        connection_id: "c".into(),
        sender: "agent".into(),
        payload: "{}".into(),
        extra: None,
    }
}

fn indexes(answer: &Answer) -> Vec<i64> {
    let Answer::Events(text) = answer else {
        return Vec::new();
    };
    let events: Vec<serde_json::Value> = serde_json::from_str(text).unwrap();
    events
        .iter()
        .map(|event| event["eventIndex"].as_i64().unwrap())
        .collect()
}

fn all(from: i64, to: i64) -> Vec<i64> {
    (from..=to).collect()
}

#[test]
fn history_comes_page_by_page_and_then_what_is_written() {
    let mut store = Store::new();
    let follower = store.follow(1, BEFORE_ALL);
    store.write(1..=600, JUST_NOW);
    assert_eq!(store.next(follower), Some(all(1, 500)));
    assert_eq!(store.next(follower), Some(all(501, 600)));
    assert_eq!(store.next(follower), None);
    store.write([601], JUST_NOW);
    assert_eq!(store.answer().len(), 1);
    store.write([602, 603], JUST_NOW);
    assert_eq!(store.next(follower), Some(all(602, 603)));
}

#[test]
fn a_thousand_followers_at_one_position_share_one_question_and_those_with_nothing_new_ask_none() {
    let mut store = Store::new();
    store.write(1..=10, JUST_NOW);
    let followers: Vec<_> = (1..=1_000).map(|id| store.follow(id, 0)).collect();
    for follower in &followers {
        assert!(store.followers.next(*follower, follower.0).is_none());
    }
    assert_eq!(store.answer().len(), 1_000);
    for follower in &followers {
        assert!(store.followers.next(*follower, follower.0).is_none());
    }
    assert!(!store.followers.have_to_look());
    let before = store.asked;
    store.write([11], JUST_NOW);
    let texts = store.answer();
    assert_eq!((texts.len(), store.asked - before), (1_000, 1));
    let [(_, Ok(Answer::Events(first))), .., (_, Ok(Answer::Events(last)))] = texts.as_slice() else {
        panic!("{texts:?}")
    };
    assert!(Arc::ptr_eq(first, last));
}

#[test]
fn a_gap_is_waited_for_and_filled_in_order() {
    let mut store = Store::new();
    let follower = store.follow(1, BEFORE_ALL);
    store.write([1, 2, 5], JUST_NOW);
    assert_eq!(store.next(follower), Some(all(1, 2)));
    store.wait(200);
    assert_eq!(store.next(follower), None);
    store.write([4], JUST_NOW);
    assert!(store.answer().is_empty());
    store.write([3], JUST_NOW);
    assert_eq!(indexes(store.answer()[0].1.as_ref().unwrap()), [3]);
    assert_eq!(store.next(follower), Some(all(4, 5)));
    assert_eq!(store.next(follower), None);
}

#[test]
fn a_gap_is_passed_once_its_time_is_over_though_nothing_is_written() {
    let mut store = Store::new();
    let follower = store.follow(1, 1);
    store.write([3, 4, 6], JUST_NOW);
    assert_eq!(store.next(follower), None);
    assert_eq!(store.followers.due(), Some(store.start + Duration::from_millis(250)));
    store.wait(250);
    // The gap before 6 was seen at the same time.
    assert_eq!(indexes(store.answer()[0].1.as_ref().unwrap()), [3, 4, 6]);
}

#[test]
fn each_gap_has_its_own_time() {
    let mut store = Store::new();
    let follower = store.follow(1, 1);
    store.write([3], JUST_NOW);
    assert_eq!(store.next(follower), None);
    store.wait(200);
    store.write([5], JUST_NOW);
    assert!(store.answer().is_empty());
    store.wait(50);
    assert_eq!(indexes(store.answer()[0].1.as_ref().unwrap()), [3]);
    assert_eq!(store.next(follower), None);
    store.wait(250);
    assert_eq!(indexes(store.answer()[0].1.as_ref().unwrap()), [5]);
}

#[test]
fn old_holes_and_the_indexes_before_the_first_are_not_waited_for() {
    let mut store = Store::new();
    let (old, new) = (store.follow(1, BEFORE_ALL), store.follow(2, 7));
    store.write([2, 4, 8], LONG_AGO);
    store.write([9], JUST_NOW);
    assert_eq!(store.next(old), Some(vec![2, 4, 8, 9]));
    assert_eq!(store.next(new), Some(all(8, 9)));
    let mut store = Store::new();
    let follower = store.follow(1, BEFORE_ALL);
    store.write([1], JUST_NOW);
    assert_eq!(store.next(follower), Some(all(1, 1)));
}

#[test]
fn what_arrives_in_a_passed_gap_is_given_once_however_late_and_to_each_follower_that_passed_it() {
    let mut store = Store::new();
    let (passed, reads_later) = (store.follow(1, 0), store.follow(2, 0));
    store.write([4, 9], LONG_AGO);
    assert_eq!(store.next(passed), Some(vec![4, 9]));
    assert_eq!(store.next(passed), None);
    for (late, after) in [(2, 1_000), (3, 3_600_000), (7, 100), (1, 100_000)] {
        store.write([late], LONG_AGO);
        let mut answers = store.answer();
        if answers.is_empty() {
            // It looks into its gaps the more rarely, the older they are.
            store.wait(after);
            answers = store.answer();
        }
        assert_eq!(indexes(answers[0].1.as_ref().unwrap()), [late]);
        assert_eq!(store.next(passed), None);
        store.wait(after);
    }
    assert_eq!(store.next(reads_later), Some(vec![1, 2, 3, 4, 7, 9]));
    assert_eq!(store.next(reads_later), None);
}

#[test]
fn what_arrives_late_waits_for_a_follower_that_does_not() {
    let mut store = Store::new();
    let (slow, quick) = (store.follow(1, 0), store.follow(2, 0));
    store.write([2], LONG_AGO);
    assert_eq!(store.next(slow), Some(all(2, 2)));
    assert_eq!(store.next(quick), Some(all(2, 2)));
    assert_eq!(store.next(quick), None);
    store.wait(1_000);
    store.write([1, 3], LONG_AGO);
    let answered = indexes(store.answer()[0].1.as_ref().unwrap());
    let mut given = vec![answered, store.next(quick).unwrap()];
    given.sort();
    assert_eq!(given, [vec![1], vec![3]]);
    let mut given = vec![store.next(slow).unwrap(), store.next(slow).unwrap()];
    given.sort();
    assert_eq!(given, [vec![1], vec![3]]);
    assert_eq!((store.next(slow), store.next(quick)), (None, None));
}

#[test]
fn the_last_thousand_passed_gaps_are_watched() {
    let mut store = Store::new();
    let follower = store.follow(1, 0);
    store.write((1..=3_000).map(|n| 2 * n), LONG_AGO);
    for page in 0..6 {
        assert_eq!(store.next(follower).map(|page| page.len()), Some(500), "{page}");
    }
    assert_eq!(store.next(follower), None);
    store.wait(1_000);
    store.write([3_999, 4_001], LONG_AGO);
    assert_eq!(indexes(store.answer()[0].1.as_ref().unwrap()), [4_001]);
}

#[test]
fn those_that_read_history_take_turns_and_do_not_hold_up_the_others() {
    let mut store = Store::new();
    store.write(1..=2_000, LONG_AGO);
    let live = store.follow(0, 2_000);
    assert_eq!(store.next(live), None);
    for id in 1..=100 {
        let follower = store.follow(id, i64::try_from(id).unwrap());
        assert!(store.followers.next(follower, id).is_none());
    }
    store.write([2_001], LONG_AGO);
    let asks = store.followers.look(store.start, 1).asks;
    assert_eq!(asks.len(), 2);
    assert!(asks.iter().any(|ask| ask.after == 2_000), "{asks:?}");
}

#[test]
fn a_deleted_session_an_error_and_the_end_of_the_store_end_those_that_they_concern() {
    let mut store = Store::new();
    let first = store.follow(1, BEFORE_ALL);
    store.followers.follow(FollowerId(2), "other", -1);
    assert_eq!((store.next(first), store.next(FollowerId(2))), (None, None));
    assert_eq!(store.followers.ended(SESSION), [(1, Ok(Answer::Done))]);
    assert_eq!(store.next(first), Some(Vec::new()));

    let again = store.follow(3, BEFORE_ALL);
    assert!(store.followers.next(again, 10).is_none());
    let asks = store.followers.look(store.start, 1).asks;
    let error = StoreError::new(ErrorKind::Unavailable, "no");
    assert_eq!(store.followers.failed(&asks[0], &error), [(10, Err(error))]);
    assert_eq!(store.followers.close(), [(2, Ok(Answer::Done))]);
    assert!(store.followers.is_empty() && !store.followers.wait());
}

#[test]
fn as_many_followers_read_history_in_one_look_as_the_store_says() {
    let mut store = Store::new();
    for number in 0..5 {
        let id = FollowerId(number);
        store.followers.follow(id, &format!("s-{number}"), -1);
        assert!(store.followers.next(id, number).is_none());
    }
    let asked: Vec<_> = [2, 2, 2]
        .map(|reading| store.followers.look(store.start, reading).asks.len())
        .into();
    assert_eq!(asked, [2, 2, 1]);
}

#[test]
fn nothing_goes_on_a_page_that_is_full_or_ended_though_it_would_fit() {
    let sized = |index: i64, bytes: usize| SessionEvent {
        payload: format!("\"{}\"", "x".repeat(bytes)).into(),
        ..event(index, LONG_AGO)
    };
    let mut full = Events::default();
    let pushed = [1 << 19, 1 << 20, 1].map(|bytes| full.push(&sized(1, bytes)));
    assert_eq!(pushed, [true, false, false]);
    let mut ended = Events::default();
    assert!(!ended.end_early() && ended.push(&sized(1, 1)) && ended.end_early());
    assert!(!ended.push(&sized(3, 1)));
}
