//! Which sessions a job is to work on, and finding them page by page. `jobs` asks, and both backends make SQL of it.

use std::collections::BTreeMap;

use super::cursor::SessionKey;
use super::list::Condition;

/// How many sessions are looked at for one page, so that no statement takes long however few of them are found.
pub const LOOKED_AT: i64 = 1_000;

/// Which sessions: those that meet all that is given. A session without a record is none.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SessionConditions {
    /// Destroyed earlier, in milliseconds since 1970.
    pub destroyed_before: Option<i64>,
    /// Created earlier, and so was the newest event, if there are events; in milliseconds since 1970.
    pub idle_before: Option<i64>,
    /// With these labels: names and values.
    pub labels: BTreeMap<String, String>,
}

impl SessionConditions {
    /// Whether every session meets them.
    #[must_use]
    pub fn are_none(&self) -> bool {
        self == &Self::default()
    }

    /// What the record of a session must meet.
    #[must_use]
    pub fn conditions(&self) -> Vec<Condition<'_>> {
        let Self {
            destroyed_before,
            idle_before,
            labels,
        } = self;
        let destroyed = destroyed_before.map(|time| Condition::Below("destroyed_at", time));
        let idle = idle_before.map(Condition::IdleBefore);
        let labels = labels.iter().map(|(name, value)| Condition::Label((name, value)));
        destroyed.into_iter().chain(labels).chain(idle).collect()
    }

    /// The texts that the database compares with its own.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        self.labels.iter().flat_map(|(name, value)| [&**name, &**value])
    }
}

/// A page of the ids of sessions that meet conditions, in the order of sessions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FindSessions {
    /// Which sessions.
    pub conditions: SessionConditions,
    /// The sessions after this one; without it, from the first.
    pub after: Option<SessionKey>,
}

impl FindSessions {
    /// Which sessions are looked at. An index has them in their order.
    #[must_use]
    pub fn range(&self) -> Vec<Condition<'_>> {
        let after = self.after.as_ref().map(Condition::SessionAbove);
        let before = self
            .conditions
            .idle_before
            .map(|time| Condition::Below("created_at", time));
        after.into_iter().chain(before).collect()
    }

    /// The texts that the database compares with its own.
    #[must_use]
    pub fn texts(&self) -> Vec<&str> {
        let after = self.after.as_ref().map(|key| &*key.id);
        self.conditions.texts().chain(after).collect()
    }
}

/// The sessions on a page. There may be none on one that others follow.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FoundSessions {
    /// The ids of those that meet the conditions.
    pub ids: Vec<String>,
    /// The last one that was looked at: the next page comes after it. Nothing, when there is no next page.
    pub next: Option<SessionKey>,
}

impl FoundSessions {
    /// Adds a session that was looked at. They come in their order.
    pub fn push(&mut self, looked_at: SessionKey, meets: bool) {
        if meets {
            self.ids.push(looked_at.id.clone());
        }
        self.next = Some(looked_at);
    }

    /// The page of so many sessions that were looked at.
    #[must_use]
    pub fn finish(mut self, looked_at: i64) -> Self {
        if looked_at < LOOKED_AT {
            self.next = None;
        }
        self
    }
}
