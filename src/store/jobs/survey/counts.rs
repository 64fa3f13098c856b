//! What a survey counts, in memory that does not grow with the store.

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;

use crate::store::transcript::{Glance, Kind};

/// How long a day is, in milliseconds.
pub const DAY: i64 = 24 * 60 * 60 * 1000;

/// The first day that is nobody's any more, 2500-01-01: others may have written any number as a time.
const END_OF_DAYS: i64 = 193_577;

/// How many update kinds and methods are told apart. Agents may send what they like.
const MOST_NAMES: usize = 500;

/// How many bytes of a name are kept.
const MOST_NAME_BYTES: usize = 100;

/// How much there is of something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Volume {
    /// How many events.
    pub events: u64,
    /// The bytes of their JSON text.
    pub bytes: u64,
}

/// A session, as it is counted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SessionSize {
    /// Its id.
    pub id: String,
    /// What its record says, if it has one.
    #[serde(flatten)]
    pub record: Option<RecordSummary>,
    /// How much there is of it.
    #[serde(flatten)]
    pub volume: Volume,
}

/// What is told of a record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RecordSummary {
    /// The agent's name.
    pub agent: String,
    /// Milliseconds since 1970.
    pub created_at: i64,
    /// Milliseconds since 1970; absent while the session lives.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub destroyed_at: Option<i64>,
}

/// The events of a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DayVolume {
    /// When it begins, in UTC: milliseconds since 1970.
    pub begins_at: i64,
    /// What was made on it.
    #[serde(flatten)]
    pub volume: Volume,
}

/// The events of a kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KindVolume {
    /// Which kind.
    #[serde(flatten)]
    pub kind: CountedKind,
    /// What there is of it.
    #[serde(flatten)]
    pub volume: Volume,
}

/// What events are told apart by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "type", content = "name", rename_all = "camelCase")]
pub enum CountedKind {
    /// A `session/update` of this kind.
    Update(String),
    /// A request or notification with this method.
    Method(String),
    /// The answer to a request.
    Answer,
    /// The answer to one that has failed.
    Error,
    /// No JSON-RPC message.
    Unknown,
    /// Updates and methods beyond the first 500 of each.
    Other,
}

/// All that was counted.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Surveyed {
    /// How many sessions have a record.
    pub sessions: u64,
    /// How many of them were not destroyed.
    pub alive: u64,
    /// How many were.
    pub destroyed: u64,
    /// How many more have events and no record.
    pub without_record: u64,
    /// All events.
    #[serde(flatten)]
    pub volume: Volume,
    /// The largest sessions, by bytes.
    pub largest: Vec<SessionSize>,
    /// The days on which events were made, from the first to the last.
    pub days: Vec<DayVolume>,
    /// The events whose time is none of 1970 to 2499.
    pub undated: Volume,
    /// Of which kinds the events are, by bytes.
    pub kinds: Vec<KindVolume>,
}

/// Counts sessions, one after the other, and their events.
pub(super) struct Counts {
    most_largest: usize,
    /// The session that is being counted.
    current: Option<SessionSize>,
    so_far: Surveyed,
    days: BTreeMap<i64, Volume>,
    updates: HashMap<String, Volume>,
    methods: HashMap<String, Volume>,
    answers: Volume,
    errors: Volume,
    unknown: Volume,
    other: Volume,
}

impl Volume {
    fn add(&mut self, event: &str) {
        self.events += 1;
        self.bytes += event.len() as u64;
    }
}

impl Counts {
    /// Nothing yet; the `largest` largest sessions will be told.
    pub(super) fn new(largest: usize) -> Self {
        Self {
            most_largest: largest,
            current: None,
            so_far: Surveyed::default(),
            days: BTreeMap::new(),
            updates: HashMap::new(),
            methods: HashMap::new(),
            answers: Volume::default(),
            errors: Volume::default(),
            unknown: Volume::default(),
            other: Volume::default(),
        }
    }

    /// The events that come next are of this session.
    pub(super) fn begin(&mut self, id: String, record: Option<RecordSummary>) {
        self.end_session();
        match &record {
            None => self.so_far.without_record += 1,
            Some(record) => {
                self.so_far.sessions += 1;
                match record.destroyed_at {
                    None => self.so_far.alive += 1,
                    Some(_) => self.so_far.destroyed += 1,
                }
            }
        }
        self.current = Some(SessionSize {
            id,
            record,
            volume: Volume::default(),
        });
    }

    /// Counts an event.
    pub(super) fn add(&mut self, event: &str) {
        self.so_far.volume.add(event);
        if let Some(session) = &mut self.current {
            session.volume.add(event);
        }
        let Glance { created_at, kind } = Glance::at(event);
        let day = created_at.map(|time| time.div_euclid(DAY));
        match day.filter(|day| (0..END_OF_DAYS).contains(day)) {
            Some(day) => self.days.entry(day).or_default().add(event),
            None => self.so_far.undated.add(event),
        }
        let of_kind = match &kind {
            Kind::Update(name) => named(&mut self.updates, name),
            Kind::Method(name) => named(&mut self.methods, name),
            Kind::Answer => Some(&mut self.answers),
            Kind::ErrorAnswer => Some(&mut self.errors),
            Kind::Unknown => Some(&mut self.unknown),
        };
        of_kind.unwrap_or(&mut self.other).add(event);
    }

    fn end_session(&mut self) {
        let Some(session) = self.current.take() else {
            return;
        };
        let largest = &mut self.so_far.largest;
        let place = largest.partition_point(|other| other.volume.bytes >= session.volume.bytes);
        if place < self.most_largest {
            largest.insert(place, session);
            largest.truncate(self.most_largest);
        }
    }

    /// All that was counted.
    pub(super) fn finish(mut self) -> Surveyed {
        self.end_session();
        let days = self.days.into_iter().map(|(day, volume)| DayVolume {
            begins_at: day * DAY,
            volume,
        });
        let of_names = |names: HashMap<String, Volume>, kind: fn(String) -> CountedKind| {
            names.into_iter().map(move |(name, volume)| (kind(name), volume))
        };
        let unnamed = [
            (CountedKind::Answer, self.answers),
            (CountedKind::Error, self.errors),
            (CountedKind::Unknown, self.unknown),
            (CountedKind::Other, self.other),
        ];
        let kinds = of_names(self.updates, CountedKind::Update)
            .chain(of_names(self.methods, CountedKind::Method))
            .chain(unnamed)
            .filter(|(_, volume)| volume.events > 0)
            .map(|(kind, volume)| KindVolume { kind, volume });
        self.so_far.days = days.collect();
        self.so_far.kinds = kinds.collect();
        self.so_far.kinds.sort_by_key(|kind| {
            let Volume { events, bytes } = kind.volume;
            std::cmp::Reverse((bytes, events))
        });
        self.so_far
    }
}

/// What is counted under a name; nothing, if there is no room for another one.
fn named<'v>(volumes: &'v mut HashMap<String, Volume>, name: &str) -> Option<&'v mut Volume> {
    let name = beginning(name);
    if !volumes.contains_key(name) {
        if volumes.len() >= MOST_NAMES {
            return None;
        }
        volumes.insert(name.to_owned(), Volume::default());
    }
    volumes.get_mut(name)
}

/// As much of a name as is kept.
fn beginning(name: &str) -> &str {
    if name.len() <= MOST_NAME_BYTES {
        return name;
    }
    let end = (0..=MOST_NAME_BYTES).rev().find(|end| name.is_char_boundary(*end));
    &name[..end.unwrap_or(0)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_agents_send_takes_little_memory_and_is_counted_all_the_same() {
        let mut counts = Counts::new(2);
        for number in 0..2_000_u64 {
            counts.begin(format!("s{number}"), None);
            let name = format!("{number}{}", "ä".repeat(200));
            let time = number * 1_000_000_000_000;
            counts.add(&format!(r#"{{"createdAt":{time},"payload":{{"method":"{name}"}}}}"#));
        }
        counts.add("{broken");
        let (names, days) = (counts.methods.len(), counts.days.len());
        assert_eq!((names, days), (MOST_NAMES, 17));
        let counted = counts.finish();
        assert_eq!((counted.volume.events, counted.without_record), (2_001, 2_000));
        assert_eq!(counted.undated.events, 2_001 - 17);
        let of_kind = |kind| {
            counted
                .kinds
                .iter()
                .find(|counted| counted.kind == kind)
                .map(|kind| kind.volume.events)
        };
        assert_eq!(of_kind(CountedKind::Other), Some(1_500));
        assert_eq!(of_kind(CountedKind::Unknown), Some(1));
        assert_eq!(counted.largest.len(), 2);
        assert!(counted.largest[0].volume.bytes >= counted.largest[1].volume.bytes);
    }
}
