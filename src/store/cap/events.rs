//! How many events sessions have, as far as a driver remembers: which have more than the cap, and whether it is time to
//! remove them.

use std::collections::HashSet;
use std::time::Instant;

use super::{Cap, Counting, PAUSE_AFTER_REFUSAL};
use crate::store::remembered::RememberedSessions;

/// So many events over the cap, of all sessions together, are removed though no session has many: what is written
/// together is stored together, and is cheap to remove together.
const TOGETHER: u64 = 2_048;

/// How many sessions wait to be seen to at most. One that is forgotten is found with its next event.
const MOST_WAITING: usize = 10_000;

/// See the module's description.
#[derive(Debug)]
pub struct EventCap {
    cap: Cap,
    tallies: RememberedSessions<Tally>,
    /// Sessions of which nothing is known. Once such a session was looked at, it has a tally.
    unlooked: HashSet<Box<str>>,
    /// Sessions that have, or may have, too many.
    over: HashSet<Box<str>>,
    counting: Counting,
    /// How often others have written. A count holds until they do.
    writes_of_others: u64,
    /// The most that a session is over the cap, of those that were written to since the last time.
    most_over: u64,
    /// How many events over the cap were written since the last time.
    written_over: u64,
}

/// What is known of the number of a session's events.
#[derive(Debug, Clone, Copy)]
struct Tally {
    events: u64,
    /// What the count holds for, if it is one and no guess.
    counted: Option<Counted>,
    refused_until: Option<Instant>,
}

#[derive(Debug, Clone, Copy)]
struct Counted {
    /// How often others had written.
    writes_of_others: u64,
    /// The highest index. What comes above it is one more; what does not may replace an event.
    highest: i64,
}

/// Which sessions are seen to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// Those with so much over the cap that it is worth it now.
    Due,
    /// All that are over the cap.
    All,
}

/// How many events of a session are over the cap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Excess {
    /// So many at least.
    Counted(u64),
    /// They must be counted.
    Unknown,
}

impl EventCap {
    /// Nothing is known yet.
    #[must_use]
    pub fn new(cap: Cap) -> Self {
        Self {
            cap,
            tallies: RememberedSessions::default(),
            unlooked: HashSet::new(),
            over: HashSet::new(),
            counting: Counting::Anew,
            writes_of_others: 0,
            most_over: 0,
            written_over: 0,
        }
    }

    /// How many events a session keeps.
    #[must_use]
    pub fn cap(&self) -> Cap {
        self.cap
    }

    /// An event of the session was stored: at this index, as far as that is known.
    pub fn stored(&mut self, session_id: &str, index: Option<i64>) {
        let Some(tally) = self.tallies.get_mut(session_id) else {
            insert(&mut self.unlooked, session_id);
            return;
        };
        tally.events += 1;
        tally.counted = tally.counted.and_then(|counted| {
            let highest = index.filter(|index| *index > counted.highest)?;
            Some(Counted { highest, ..counted })
        });
        let over = tally.over(self.cap);
        if over == 0 || tally.is_refused() {
            return;
        }
        self.most_over = self.most_over.max(over);
        self.written_over += 1;
        insert(&mut self.over, session_id);
    }

    /// Whether others have written since the last time that this was said.
    pub fn others(&mut self, have_written: bool) {
        self.counting = if have_written { Counting::Anew } else { Counting::Kept };
        self.writes_of_others += u64::from(have_written);
    }

    /// Something else than storing an event was done to the session.
    pub fn forget(&mut self, session_id: &str) {
        self.tallies.forget(session_id);
    }

    /// Whether something is to be removed though more is written.
    #[must_use]
    pub fn is_due(&self) -> bool {
        !self.unlooked.is_empty()
            || self.most_over > self.cap.slack(self.counting)
            || (self.counting == Counting::Kept && self.written_over >= TOGETHER)
    }

    /// Whether any session has, or may have, too many.
    #[must_use]
    pub fn is_over(&self) -> bool {
        !self.unlooked.is_empty() || !self.over.is_empty()
    }

    /// Takes the sessions that are to be seen to, in ascending order.
    pub fn take(&mut self, extent: Extent) -> Vec<Box<str>> {
        let mut taken: Vec<Box<str>> = self.unlooked.drain().collect();
        (self.most_over, self.written_over) = (0, 0);
        // Less is not worth a look that counts up to the cap.
        let worth_a_look = self.cap.slack(Counting::Anew) / 2;
        let (tallies, cap, writes_of_others) = (&mut self.tallies, self.cap, self.writes_of_others);
        taken.extend(self.over.extract_if(|session_id| {
            extent == Extent::All
                || tallies
                    .get(session_id)
                    .is_none_or(|tally| tally.is_counted(writes_of_others) || tally.over(cap) > worth_a_look)
        }));
        taken.sort_unstable();
        taken
    }

    /// How many of the session's events are to be removed.
    pub fn excess(&mut self, session_id: &str) -> Excess {
        match self.tallies.get(session_id) {
            Some(tally) if tally.is_counted(self.writes_of_others) => Excess::Counted(tally.over(self.cap)),
            _ => Excess::Unknown,
        }
    }

    /// How many events the session is taken to have.
    pub fn guess(&mut self, session_id: &str) -> u64 {
        self.tallies.get(session_id).map_or(0, |tally| tally.events)
    }

    /// The session's events were counted. The number holds until others write, if its highest index is known.
    pub fn counted(&mut self, session_id: &str, events: u64, highest: Option<i64>) {
        let refused_until = self.tallies.get(session_id).and_then(|tally| tally.refused_until);
        let counted = highest.map(|highest| Counted {
            writes_of_others: self.writes_of_others,
            highest,
        });
        let tally = Tally {
            events,
            counted,
            refused_until,
        };
        self.tallies.note(session_id, tally);
    }

    /// So many of the session's events were removed.
    pub fn removed(&mut self, session_id: &str, events: u64) {
        if let Some(tally) = self.tallies.get_mut(session_id) {
            tally.events = tally.events.saturating_sub(events);
            tally.refused_until = None;
        }
    }

    /// A session that was taken was not looked at. What is remembered of it may be older than some of its events: those that were
    /// stored while another look at a session of which nothing was known was under way.
    pub fn look_again(&mut self, session_id: &str) {
        self.forget(session_id);
        insert(&mut self.unlooked, session_id);
    }

    /// A session that was taken is seen to the next time as well, if it has, or may have, too many.
    pub fn put_back(&mut self, session_id: &str) {
        match self.tallies.get(session_id) {
            None => insert(&mut self.unlooked, session_id),
            Some(tally) if tally.over(self.cap) == 0 || tally.is_refused() => {}
            Some(tally) => {
                self.most_over = self.most_over.max(tally.over(self.cap));
                insert(&mut self.over, session_id);
            }
        }
    }

    /// Nothing could be removed of the session: it is left alone for a while.
    pub fn refused(&mut self, session_id: &str) {
        let tally = Tally {
            events: self.guess(session_id),
            counted: None,
            refused_until: Some(Instant::now() + PAUSE_AFTER_REFUSAL),
        };
        self.tallies.note(session_id, tally);
        self.over.remove(session_id);
    }
}

fn insert(sessions: &mut HashSet<Box<str>>, session_id: &str) {
    if sessions.contains(session_id) {
        return;
    }
    if sessions.len() >= MOST_WAITING {
        sessions.clear();
    }
    sessions.insert(session_id.into());
}

impl Tally {
    fn over(&self, cap: Cap) -> u64 {
        self.events.saturating_sub(cap.most())
    }

    fn is_refused(&self) -> bool {
        self.refused_until.is_some_and(|until| Instant::now() < until)
    }

    fn is_counted(&self, writes_of_others: u64) -> bool {
        self.counted
            .is_some_and(|counted| counted.writes_of_others == writes_of_others)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn capped(most: u32) -> EventCap {
        let mut caps = EventCap::new(Cap::new(most).unwrap());
        caps.others(true);
        caps.others(false);
        caps
    }

    /// Stores events at these indexes, and looks at the session as a backend would when it is new.
    fn store(caps: &mut EventCap, session_id: &str, indexes: std::ops::RangeInclusive<i64>) {
        for index in indexes {
            caps.stored(session_id, Some(index));
            for new in std::mem::take(&mut caps.unlooked) {
                caps.counted(&new, 1, Some(index));
            }
        }
    }

    #[test]
    fn events_above_the_highest_are_counted_on_until_others_write() {
        let mut caps = capped(10);
        store(&mut caps, "s", 1..=15);
        assert_eq!(caps.excess("s"), Excess::Counted(5));
        caps.others(true);
        assert_eq!(caps.excess("s"), Excess::Unknown);
        caps.counted("s", 12, Some(20));
        assert_eq!(caps.excess("s"), Excess::Counted(2));
        caps.forget("s");
        assert_eq!(caps.excess("s"), Excess::Unknown);
    }

    #[test]
    fn an_event_that_may_replace_another_makes_the_count_a_guess() {
        let mut caps = capped(10);
        store(&mut caps, "s", 1..=15);
        caps.stored("s", Some(15));
        assert_eq!((caps.guess("s"), caps.excess("s")), (16, Excess::Unknown));
        store(&mut caps, "t", 1..=11);
        caps.stored("t", None);
        assert_eq!(caps.excess("t"), Excess::Unknown);
    }

    #[test]
    fn what_is_over_is_due_once_it_is_worth_it() {
        let mut caps = capped(100);
        store(&mut caps, "s", 1..=108);
        assert!(!caps.is_due() && caps.is_over());
        store(&mut caps, "s", 109..=109);
        assert!(caps.is_due());
        store(&mut caps, "t", 1..=101);
        assert_eq!(caps.take(Extent::Due), ["s", "t"].map(Box::from));
        assert!(!caps.is_due() && !caps.is_over());
        caps.put_back("s");
        assert!(caps.is_due() && caps.is_over());
    }

    #[test]
    fn while_others_write_only_what_is_worth_a_look_is_due() {
        let mut caps = capped(1_000);
        store(&mut caps, "many", 1..=1_063);
        store(&mut caps, "few", 1..=1_001);
        caps.others(true);
        assert!(caps.is_due());
        assert_eq!(caps.take(Extent::Due), ["many"].map(Box::from));
        assert_eq!(caps.take(Extent::All), ["few"].map(Box::from));
    }

    #[test]
    fn a_look_that_fails_is_made_again_whatever_the_look_before_it_has_found() {
        let mut caps = capped(10);
        caps.stored("s", None);
        assert_eq!(caps.take(Extent::Due), ["s"].map(Box::from));
        // More is stored before the first look is answered, which has not seen it.
        caps.stored("s", None);
        caps.counted("s", 10, None);
        caps.put_back("s");
        assert_eq!(caps.take(Extent::Due), ["s"].map(Box::from));
        caps.look_again("s");
        assert!(caps.is_due());
        assert_eq!(caps.take(Extent::Due), ["s"].map(Box::from));
    }

    #[test]
    fn a_session_that_refuses_is_left_alone() {
        let mut caps = capped(10);
        store(&mut caps, "s", 1..=15);
        assert_eq!(caps.take(Extent::All), ["s"].map(Box::from));
        caps.refused("s");
        store(&mut caps, "s", 16..=500);
        assert!(!caps.is_due() && !caps.is_over());
        caps.removed("s", 1);
        store(&mut caps, "s", 501..=501);
        assert!(caps.is_due());
    }
}
