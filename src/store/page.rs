//! Pages and cursors: what a list call asks for and the JSON text it gets. Both backends read through it.

use super::error::StoreError;
use super::model::{SessionEvent, SessionRecord, push_string};

/// How many items a page has when the caller does not say (docs/sdk-contract.md, "The interface").
pub const DEFAULT_LIMIT: u32 = 100;

/// Where a page of JSON text ends early: half of V8's longest string (2^29 - 24 characters), so that the page with
/// its frame, and JavaScript's parse of it, always fits.
pub const MAX_PAGE_BYTES: usize = 256 << 20;

/// The limit that a number from JavaScript means: not finite or below 1 is the default, fractions are floored.
#[must_use]
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // the cast saturates, and the sign is checked
pub fn limit(number: f64) -> u32 {
    if number.is_finite() && number >= 1.0 {
        number as u32
    } else {
        DEFAULT_LIMIT
    }
}

/// Where a page begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Position<K> {
    /// After so many rows: the cursors of the SDK's own drivers. Zero is the start.
    Offset(i64),
    /// After the row with this key, so that rows which come or go before it do not shift the page.
    After(K),
}

/// The key that orders a list, and its text in a cursor.
pub trait Key: Sized {
    /// Kind and version of the cursor, so that a cursor of another list or release is an error and not a wrong page.
    const TAG: &'static str;
    /// The key's text.
    fn encode(&self) -> String;
    /// The key of that text.
    fn decode(text: &str) -> Option<Self>;
}

/// Events of a session are in order of their index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventKey(pub i64);

/// Sessions are in order of `(created_at, id)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionKey {
    /// Milliseconds since 1970.
    pub created_at: i64,
    /// The session's id.
    pub id: String,
}

impl Key for EventKey {
    const TAG: &'static str = "e1:";

    fn encode(&self) -> String {
        self.0.to_string()
    }

    fn decode(text: &str) -> Option<Self> {
        text.parse().ok().map(Self)
    }
}

impl Key for SessionKey {
    const TAG: &'static str = "s1:";

    fn encode(&self) -> String {
        format!("{}:{}", self.created_at, self.id)
    }

    fn decode(text: &str) -> Option<Self> {
        let (created_at, id) = text.split_once(':')?;
        Some(Self {
            created_at: created_at.parse().ok()?,
            id: id.to_owned(),
        })
    }
}

impl<K: Key> Position<K> {
    /// The position that a cursor names; no cursor is the start.
    pub fn parse(cursor: Option<&str>) -> Result<Self, StoreError> {
        let Some(cursor) = cursor else {
            return Ok(Self::Offset(0));
        };
        if !cursor.is_empty() && cursor.bytes().all(|byte| byte.is_ascii_digit()) {
            // More digits than an i64 holds are past the end of every list.
            return Ok(Self::Offset(cursor.parse().unwrap_or(i64::MAX)));
        }
        cursor
            .strip_prefix(K::TAG)
            .and_then(K::decode)
            .map(Self::After)
            .ok_or_else(wrong_cursor)
    }
}

/// The error for a cursor that no page of the list can have had.
#[must_use]
pub fn wrong_cursor() -> StoreError {
    StoreError::invalid(
        "the cursor is not one of this list: pass `nextCursor` of the page before, unchanged, or none to start",
    )
}

/// A page: its JSON text, and the key after which the next one begins, if there is a next one.
#[derive(Debug)]
pub struct Page<K> {
    /// `{"items":[...],"nextCursor":"..."}`
    pub text: String,
    /// The key of the last item, when more follow.
    pub next: Option<K>,
}

/// A page in the making: its JSON text, item by item.
pub struct PageText<K> {
    text: String,
    limit: u32,
    max_bytes: usize,
    items: u32,
    last: Option<K>,
}

impl<K: Key> PageText<K> {
    /// An empty page for at most `limit` items.
    #[must_use]
    pub fn new(limit: u32) -> Self {
        Self::with_max_bytes(limit, MAX_PAGE_BYTES)
    }

    fn with_max_bytes(limit: u32, max_bytes: usize) -> Self {
        Self {
            text: String::from(r#"{"items":["#),
            limit,
            max_bytes,
            items: 0,
            last: None,
        }
    }

    /// Adds the next row; false when it belongs to the next page, which ends this one.
    fn push(&mut self, key: K, write_json: impl FnOnce(&mut String)) -> bool {
        if self.items == self.limit {
            return false;
        }
        let before = self.text.len();
        if self.items > 0 {
            self.text.push(',');
        }
        write_json(&mut self.text);
        // One item alone always goes in: a page must move on.
        if self.items > 0 && self.text.len() > self.max_bytes {
            self.text.truncate(before);
            return false;
        }
        self.items += 1;
        self.last = Some(key);
        true
    }

    /// The whole page; `more` says whether a row was left for the next one.
    #[must_use]
    pub fn finish(mut self, more: bool) -> Page<K> {
        self.text.push(']');
        let next = self.last.filter(|_| more);
        if let Some(last) = &next {
            self.text.push_str(r#","nextCursor":"#);
            push_string(&mut self.text, &format!("{}{}", K::TAG, last.encode()));
        }
        self.text.push('}');
        Page { text: self.text, next }
    }
}

impl PageText<SessionKey> {
    /// Adds the next session; false when it belongs to the next page, which ends this one.
    pub fn push_session(&mut self, record: &SessionRecord<'_>) -> bool {
        let key = SessionKey {
            created_at: record.created_at,
            id: record.id.clone().into_owned(),
        };
        self.push(key, |out| record.write_json(out))
    }
}

impl PageText<EventKey> {
    /// Adds the next event; false when it belongs to the next page, which ends this one.
    pub fn push_event(&mut self, event: &SessionEvent<'_>) -> bool {
        self.push(EventKey(event.event_index), |out| event.write_json(out))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn odd_limits_mean_the_default() {
        for odd in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1.0, 0.0, 0.9] {
            assert_eq!(limit(odd), DEFAULT_LIMIT, "{odd}");
        }
        assert_eq!(limit(2.9), 2);
        assert_eq!(limit(1e300), u32::MAX);
    }

    #[test]
    fn a_cursor_names_the_key_it_was_made_of() {
        let key = SessionKey {
            created_at: -5,
            id: "a:b\"c".into(),
        };
        let cursor = format!("{}{}", SessionKey::TAG, key.encode());
        assert_eq!(Position::parse(Some(&cursor)).unwrap(), Position::After(key));
    }

    #[test]
    fn garbage_and_cursors_of_the_other_list_are_errors() {
        for cursor in ["", "x", "-1", "1.5", "e1:", "e1:x", "e2:5", "s1:5:a"] {
            assert!(Position::<EventKey>::parse(Some(cursor)).is_err(), "{cursor}");
        }
        assert_eq!(
            Position::<EventKey>::parse(Some("99999999999999999999")).unwrap(),
            Position::Offset(i64::MAX)
        );
    }

    #[test]
    fn a_page_ends_early_before_it_is_too_long_but_never_empty() {
        let mut page = PageText::with_max_bytes(10, 30);
        assert!(page.push(EventKey(1), |out| out.push_str(&"1".repeat(100))));
        assert!(!page.push(EventKey(2), |out| out.push('2')));
        let text = page.finish(true).text;
        assert!(text.ends_with(r#"1],"nextCursor":"e1:1"}"#), "{text}");
    }
}
