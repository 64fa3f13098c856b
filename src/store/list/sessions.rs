//! Lists of sessions.

use super::condition::Condition;
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
}

impl SessionList {
    /// What the rows of a page must meet.
    #[must_use]
    pub fn conditions<'a>(&'a self, position: &'a Position<SessionKey>) -> Vec<Condition<'a>> {
        const TIME: &str = "created_at";
        let SessionFilter {
            agent,
            sandbox_id,
            destroyed,
            created_after,
            created_before,
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
        [
            after,
            before,
            equal("agent", agent),
            equal("sandbox_id", sandbox_id),
            destroyed,
        ]
        .into_iter()
        .flatten()
        .collect()
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
        } = &self.filter;
        let filters = [
            ("agent", agent.clone()),
            ("sandboxId", sandbox_id.clone()),
            ("destroyed", destroyed.map(|destroyed| destroyed.to_string())),
            ("createdAfter", created_after.map(|time| time.to_string())),
            ("createdBefore", created_before.map(|time| time.to_string())),
        ];
        cursors(self.order, &filters)
    }

    fn texts(&self) -> Vec<&str> {
        let SessionFilter { agent, sandbox_id, .. } = &self.filter;
        [agent, sandbox_id].into_iter().filter_map(Option::as_deref).collect()
    }
}
