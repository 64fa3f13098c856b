//! What a list call asks for: of which rows, in which order, and which page of them. `bindings` makes it of a request, and
//! a backend makes SQL of its [`Condition`]s, which say once for both what a filter means.

mod condition;
mod events;
mod parameters;
mod sessions;

pub use self::condition::{Condition, ESCAPES, Label};
pub use self::events::{EventFilter, EventList, Sender};
pub use self::parameters::{Parameter, Parameters};
pub use self::sessions::{RARE, SessionFilter, SessionList};
use super::cursor::{Cursors, Fingerprint, Key, Position};
use super::error::StoreError;
use super::page::{PageSize, PageText};

/// From the first to the last, or the other way round.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Order {
    /// Rows come in the order of their keys.
    #[default]
    Ascending,
    /// The newest row comes first.
    Descending,
}

impl Order {
    /// As requests call it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ascending => "asc",
            Self::Descending => "desc",
        }
    }
}

/// The rows that pages are made of.
pub trait List {
    /// What orders them.
    type Key: Key + Clone;
    /// How they are ordered.
    fn order(&self) -> Order;
    /// What the cursors of their pages look like.
    fn cursors(&self) -> Cursors<Self::Key>;
    /// The texts that the database compares with its own.
    fn texts(&self) -> Vec<&str>;
}

/// A page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListRequest<L: List> {
    /// The rows of all pages.
    pub list: L,
    /// Where this one begins.
    pub position: Position<L::Key>,
    /// How much it holds at most.
    pub size: PageSize,
}

impl<L: List> ListRequest<L> {
    /// The page that a cursor of the list names, or the first one.
    pub fn new(list: L, cursor: Option<&str>, size: PageSize) -> Result<Self, StoreError> {
        let position = list.cursors().position(cursor)?;
        Ok(Self { list, position, size })
    }

    /// How many rows fill the page: one more shows whether there are others.
    #[must_use]
    pub fn rows(&self) -> i64 {
        i64::from(self.size.items) + 1
    }

    /// The page after the row with that key.
    #[must_use]
    pub fn after(&self, key: L::Key) -> Self
    where
        L: Clone,
    {
        Self {
            position: Position::After(key),
            ..self.clone()
        }
    }

    /// The page with nothing on it yet.
    #[must_use]
    pub fn empty_page(&self) -> PageText<L::Key> {
        PageText::new(self.list.cursors(), self.size)
    }
}

/// The cursors of a list in that order with these filters, of which each has its name and what was given for it, if
/// anything was.
fn cursors<K: Key>(order: Order, filters: &[(&str, Option<String>)]) -> Cursors<K> {
    let mut given = filters
        .iter()
        .filter_map(|(name, value)| value.as_ref().map(|value| (name, value)))
        .peekable();
    if order == Order::Ascending && given.peek().is_none() {
        return Cursors::plain();
    }
    let fingerprint = Fingerprint::EMPTY.and(order.name());
    Cursors::of(given.fold(fingerprint, |fingerprint, (name, value)| {
        fingerprint.and(name).and(value)
    }))
}
