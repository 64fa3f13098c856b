//! Pages: how many items a list call gets, and the JSON text that it gets them in. Both backends read through it.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::cursor::{Cursors, EventKey, Key, SessionKey};
use super::error::StoreError;
use super::model::{SessionEvent, SessionRecord, push_string};

/// How many items a page has when the caller does not say (docs/sdk-contract.md, "The interface").
pub const DEFAULT_LIMIT: u32 = 100;

/// Where a page of JSON text ends early: half of V8's longest string (2^29 - 24 characters), so that the page with
/// its frame, and JavaScript's parse of it, always fits.
pub const MAX_PAGE_BYTES: usize = 256 << 20;

/// How much a page holds at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageSize {
    /// How many items.
    pub items: u32,
    /// How many bytes of JSON text, unless one item alone has more.
    pub bytes: usize,
}

impl PageSize {
    /// So many items, as far as JavaScript can take their text.
    #[must_use]
    pub fn items(items: u32) -> Self {
        Self {
            items,
            bytes: MAX_PAGE_BYTES,
        }
    }
}

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

/// A page: its JSON text, and the key after which the next one begins, if there is a next one.
#[derive(Debug)]
pub struct Page<K> {
    /// `{"items":[...],"nextCursor":"..."}`
    pub text: String,
    /// The key of the last item, when more follow.
    pub next: Option<K>,
}

/// The JSON texts of a page's items, as they were stored.
pub fn items(page: &str) -> Result<Vec<&str>, StoreError> {
    #[derive(Deserialize)]
    struct Items<'a> {
        #[serde(borrow)]
        items: Vec<&'a RawValue>,
    }
    let Items { items } = serde_json::from_str(page)
        .map_err(|error| StoreError::internal(&format!("a page could not be read: {error}")))?;
    Ok(items.into_iter().map(RawValue::get).collect())
}

/// The cursor of the page after this one, if there is one. It stands at the end of the text, so the items are not looked at.
pub fn next_cursor(page: &str) -> Result<Option<String>, StoreError> {
    // The quotes within a string are escaped: this is nowhere in the cursor itself.
    let Some((_, cursor)) = page.rsplit_once(NEXT_CURSOR).filter(|_| page.ends_with("\"}")) else {
        return Ok(None);
    };
    let cursor = cursor.strip_suffix('}').unwrap_or(cursor);
    let cursor = serde_json::from_str(cursor)
        .map_err(|error| StoreError::internal(&format!("a page's cursor could not be read: {error}")))?;
    Ok(Some(cursor))
}

/// What stands between the items of a page and the cursor of the next one.
const NEXT_CURSOR: &str = r#"],"nextCursor":"#;

/// A page in the making: its JSON text, item by item.
pub struct PageText<K> {
    text: String,
    cursors: Cursors<K>,
    size: PageSize,
    items: u32,
    last: Option<K>,
}

impl<K: Key> PageText<K> {
    /// An empty page of that size, of a list with such cursors.
    #[must_use]
    pub fn new(cursors: Cursors<K>, size: PageSize) -> Self {
        Self {
            text: String::from(r#"{"items":["#),
            cursors,
            size,
            items: 0,
            last: None,
        }
    }

    /// Adds the next row; false when it belongs to the next page, which ends this one.
    fn push(&mut self, key: K, write_json: impl FnOnce(&mut String)) -> bool {
        if self.items == self.size.items {
            return false;
        }
        let before = self.text.len();
        if self.items > 0 {
            self.text.push(',');
        }
        write_json(&mut self.text);
        // One item alone always goes in: a page must move on.
        if self.items > 0 && self.text.len() > self.size.bytes {
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
        let next = self.last.filter(|_| more);
        if let Some(last) = &next {
            self.text.push_str(NEXT_CURSOR);
            push_string(&mut self.text, &self.cursors.after(last));
            self.text.push('}');
        } else {
            self.text.push_str("]}");
        }
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
    fn a_page_ends_early_before_it_is_too_long_but_never_empty() {
        let mut page = PageText::new(Cursors::plain(), PageSize { items: 10, bytes: 30 });
        assert!(page.push(EventKey(1), |out| out.push_str(&"1".repeat(100))));
        assert!(!page.push(EventKey(2), |out| out.push('2')));
        let text = page.finish(true).text;
        assert!(text.ends_with(r#"1],"nextCursor":"e1:1"}"#), "{text}");
    }

    #[test]
    fn the_cursor_at_the_end_is_found_whatever_the_items_hold() {
        let page = |item: &str, more| {
            let mut page = PageText::new(Cursors::<SessionKey>::plain(), PageSize::items(1));
            let id = String::from(r#"],"nextCursor":"x"}"#);
            page.push(SessionKey { created_at: 1, id }, |out| out.push_str(item));
            page.finish(more).text
        };
        for item in [
            "1",
            r#""a""#,
            r#"{"a":[1],"nextCursor":"b"}"#,
            r#"[[1],"nextCursor":"b"]"#,
        ] {
            let cursor = next_cursor(&page(item, true)).unwrap();
            assert_eq!(cursor.as_deref(), Some(r#"s1:1:],"nextCursor":"x"}"#), "{item}");
            assert_eq!(next_cursor(&page(item, false)).unwrap(), None, "{item}");
        }
    }
}
