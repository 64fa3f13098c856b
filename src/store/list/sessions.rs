//! Lists of sessions.

use std::collections::BTreeMap;

use super::condition::{Condition, Label};
use super::{List, Order, cursors};
use crate::store::cursor::{Cursors, Position, SessionKey};

/// Sessions.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SessionList {
    /// Which of them.
    pub filter: SessionFilter,
    /// By the time they were created, and their id.
    pub order: Order,
}

/// Which sessions: those that meet all that is given.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SessionFilter {
    /// Of that agent.
    pub agent: Option<String>,
    /// In that sandbox.
    pub sandbox_id: Option<String>,
    /// Whether they were destroyed.
    pub destroyed: Option<bool>,
    /// Created later, in milliseconds since 1970.
    pub created_after: Option<i64>,
    /// Created earlier, in milliseconds since 1970.
    pub created_before: Option<i64>,
    /// With these labels: names and values.
    pub labels: BTreeMap<String, String>,
}

/// Up to how many sessions with a label are found, and sorted, sooner than one comes across enough of them by going through all
/// sessions in their order. With this many among a million, a page of 50 costs about the same either way.
pub const RARE: i64 = 5_000;

impl SessionList {
    /// The labels that sessions must have.
    pub fn labels(&self) -> impl Iterator<Item = Label<'_>> {
        self.filter.labels.iter().map(|(name, value)| (&**name, &**value))
    }

    /// The label that the fewest sessions have, if those are few. `counts` has for each label how many have it, or [`RARE`] when
    /// there are as many or more.
    #[must_use]
    pub fn rare_label(&self, counts: &[i64]) -> Option<Label<'_>> {
        let counted = self.labels().zip(counts);
        let (label, count) = counted.min_by_key(|(_, count)| **count)?;
        (*count < RARE).then_some(label)
    }

    /// What the rows of a page must meet. `rare` is the label to begin with, if there is a rare one.
    #[must_use]
    pub fn conditions<'a>(&'a self, position: &'a Position<SessionKey>, rare: Option<Label<'a>>) -> Vec<Condition<'a>> {
        const TIME: &str = "created_at";
        let SessionFilter {
            agent,
            sandbox_id,
            destroyed,
            created_after,
            created_before,
            labels: _,
        } = &self.filter;
        let mut after = created_after.map(|time| Condition::Above(TIME, time));
        let mut before = created_before.map(|time| Condition::Below(TIME, time));
        // As with events, one condition is left on a side: the narrower one, which is the cursor's in every cursor of ours.
        if let Position::After(key) = position {
            match self.order {
                Order::Ascending if created_after.is_none_or(|time| key.created_at > time) => {
                    after = Some(Condition::SessionAbove(key));
                }
                Order::Descending if created_before.is_none_or(|time| key.created_at < time) => {
                    before = Some(Condition::SessionBelow(key));
                }
                Order::Ascending | Order::Descending => {}
            }
        }
        let equal = |column, text: &'a Option<String>| text.as_deref().map(|text| Condition::Equal(column, text));
        let destroyed = destroyed.map(|destroyed| {
            if destroyed {
                Condition::Present("destroyed_at")
            } else {
                Condition::Absent("destroyed_at")
            }
        });
        let labels = self.labels().map(|label| {
            if Some(label) == rare {
                Condition::RareLabel(label)
            } else {
                Condition::Label(label)
            }
        });
        let columns = [
            after,
            before,
            equal("agent", agent),
            equal("sandbox_id", sandbox_id),
            destroyed,
        ];
        columns.into_iter().flatten().chain(labels).collect()
    }
}

impl List for SessionList {
    type Key = SessionKey;

    fn order(&self) -> Order {
        self.order
    }

    fn cursors(&self) -> Cursors<SessionKey> {
        let SessionFilter {
            agent,
            sandbox_id,
            destroyed,
            created_after,
            created_before,
            labels,
        } = &self.filter;
        let one = |text: &str| format!("{}:{text}", text.len());
        let all_labels = || labels.iter().map(|(name, value)| one(name) + &one(value)).collect();
        let filters = [
            ("agent", agent.clone()),
            ("sandboxId", sandbox_id.clone()),
            ("destroyed", destroyed.map(|destroyed| destroyed.to_string())),
            ("createdAfter", created_after.map(|time| time.to_string())),
            ("createdBefore", created_before.map(|time| time.to_string())),
            ("labels", (!labels.is_empty()).then(all_labels)),
        ];
        cursors(self.order, &filters)
    }

    fn texts(&self) -> Vec<&str> {
        let SessionFilter { agent, sandbox_id, .. } = &self.filter;
        let columns = [agent, sandbox_id].into_iter().filter_map(Option::as_deref);
        columns.chain(self.labels().flat_map(<[&str; 2]>::from)).collect()
    }
}
