//! Lists of a session's events.

use super::condition::Condition;
use super::{List, Order, cursors};
use crate::store::cursor::{Cursors, EventKey, Position};
use crate::store::model::{SessionEvent, push_string};

/// Events of one session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventList {
    /// The session's id.
    pub session_id: String,
    /// Which of them.
    pub filter: EventFilter,
    /// By their index.
    pub order: Order,
}

/// Which events of a session: those that meet all that is given.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EventFilter {
    /// With a higher index.
    pub after_index: Option<i64>,
    /// With a lower index.
    pub before_index: Option<i64>,
    /// Sent by it.
    pub sender: Option<Sender>,
    /// Whose payload is a message with that method.
    pub method: Option<String>,
}

/// Who sent an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sender {
    /// The client.
    Client,
    /// The agent.
    Agent,
}

impl Sender {
    /// As events have it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Agent => "agent",
        }
    }
}

impl EventList {
    /// All events of a session, in ascending order.
    #[must_use]
    pub fn all(session_id: String) -> Self {
        Self {
            session_id,
            filter: EventFilter::default(),
            order: Order::Ascending,
        }
    }

    /// Whether it is a list of all events of its session, in ascending order.
    #[must_use]
    pub fn is_of_all(&self) -> bool {
        self.filter == EventFilter::default() && self.order == Order::Ascending
    }

    /// What the rows of a page must meet. Whether those that do are of the list [`selects`](Self::selects) says.
    #[must_use]
    pub fn conditions(&self, position: &Position<EventKey>) -> Vec<Condition<'_>> {
        const INDEX: &str = "event_index";
        let (mut after, mut before) = (self.filter.after_index, self.filter.before_index);
        // The cursor and the filter limit the same side. One condition is left, since a database may look for its place in
        // the index by one alone, and read all that the other one leaves out.
        if let Position::After(EventKey(index)) = *position {
            match self.order {
                Order::Ascending => after = after.max(Some(index)),
                Order::Descending => before = Some(before.map_or(index, |before| before.min(index))),
            }
        }
        let mut conditions = vec![Condition::Equal("session_id", &self.session_id)];
        conditions.extend(after.map(|index| Condition::Above(INDEX, index)));
        conditions.extend(before.map(|index| Condition::Below(INDEX, index)));
        conditions.extend(
            self.filter
                .sender
                .map(|sender| Condition::Equal("sender", sender.name())),
        );
        let literal = self.method_literal();
        conditions.extend(literal.map(|literal| Condition::Holds("payload_json", literal.into())));
        conditions
    }

    /// The method as a JSON string. Without [`ESCAPES`](super::ESCAPES) a payload can write it in this way only. There is none for
    /// what is not ASCII, which a payload in a database of another encoding may escape.
    fn method_literal(&self) -> Option<String> {
        let method = self.filter.method.as_deref().filter(|method| method.is_ascii())?;
        let mut literal = String::new();
        push_string(&mut literal, method);
        Some(literal)
    }

    /// Whether an event that meets the [`conditions`](Self::conditions) is one of the list.
    #[must_use]
    pub fn selects(&self, event: &SessionEvent<'_>) -> bool {
        let method = self.filter.method.as_deref();
        method.is_none_or(|method| event.method().is_some_and(|of_event| of_event == method))
    }
}

impl List for EventList {
    type Key = EventKey;

    fn order(&self) -> Order {
        self.order
    }

    fn cursors(&self) -> Cursors<EventKey> {
        let EventFilter {
            after_index,
            before_index,
            sender,
            method,
        } = &self.filter;
        let filters = [
            ("afterIndex", after_index.map(|index| index.to_string())),
            ("beforeIndex", before_index.map(|index| index.to_string())),
            ("sender", sender.map(|sender| sender.name().to_owned())),
            ("method", method.clone()),
        ];
        cursors(self.order, &filters)
    }

    fn texts(&self) -> Vec<&str> {
        vec![&self.session_id]
    }
}
