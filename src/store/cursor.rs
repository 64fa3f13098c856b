//! Cursors: where the page of a list begins, and the text that names the place. `page` writes them, `list` reads them.

use std::marker::PhantomData;

use super::error::StoreError;

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
    /// What the cursors of the list begin with, so that a cursor of another list is an error and not a wrong page.
    const LETTER: char;
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
    const LETTER: char = 'e';

    fn encode(&self) -> String {
        self.0.to_string()
    }

    fn decode(text: &str) -> Option<Self> {
        text.parse().ok().map(Self)
    }
}

impl Key for SessionKey {
    const LETTER: char = 's';

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

/// The cursors of one list. Those of a list of everything in ascending order are `e1:KEY`; others are
/// `e2:FINGERPRINT:KEY`, with what says which rows they are of and in which order.
#[derive(Debug)]
pub struct Cursors<K> {
    fingerprint: Option<Fingerprint>,
    key: PhantomData<K>,
}

impl<K: Key> Cursors<K> {
    /// Those of a list of everything in ascending order.
    #[must_use]
    pub fn plain() -> Self {
        Self {
            fingerprint: None,
            key: PhantomData,
        }
    }

    /// Those of a list with filters, or in another order.
    #[must_use]
    pub fn of(fingerprint: Fingerprint) -> Self {
        Self {
            fingerprint: Some(fingerprint),
            key: PhantomData,
        }
    }

    /// The cursor of the page after `key`.
    pub(super) fn after(&self, key: &K) -> String {
        format!("{}{}", self.prefix(), key.encode())
    }

    /// The position that a cursor names; no cursor is the start.
    pub fn position(&self, cursor: Option<&str>) -> Result<Position<K>, StoreError> {
        let Some(cursor) = cursor else {
            return Ok(Position::Offset(0));
        };
        let is_offset = !cursor.is_empty() && cursor.bytes().all(|byte| byte.is_ascii_digit());
        // The SDK's own drivers have no other lists.
        if is_offset && self.fingerprint.is_none() {
            // More digits than an i64 holds are past the end of every list.
            return Ok(Position::Offset(cursor.parse().unwrap_or(i64::MAX)));
        }
        cursor
            .strip_prefix(&self.prefix())
            .and_then(K::decode)
            .map(Position::After)
            .ok_or_else(wrong_cursor)
    }

    fn prefix(&self) -> String {
        match self.fingerprint {
            None => format!("{}1:", K::LETTER),
            Some(Fingerprint(hash)) => format!("{}2:{hash:016x}:", K::LETTER),
        }
    }
}

/// The error for a cursor that no page of the list can have had.
#[must_use]
pub fn wrong_cursor() -> StoreError {
    StoreError::invalid(
        "the cursor is not one of this list: pass `nextCursor` of the page before, unchanged and with the same filters and \
         `order`, or no cursor to start",
    )
}

/// Which rows a list has and in which order, in short: the 64-bit FNV-1a hash of the parts that say so. It is the same in
/// every process and release, since a cursor may be used in another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint(u64);

impl Fingerprint {
    /// The fingerprint of no parts.
    pub const EMPTY: Self = Self(0xcbf2_9ce4_8422_2325);

    /// Adds a part. Its length goes in too, so that no two lists of parts read the same.
    #[must_use]
    pub fn and(self, part: &str) -> Self {
        let length = (part.len() as u64).to_le_bytes();
        let bytes = length.iter().chain(part.as_bytes());
        Self(bytes.fold(self.0, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
        }))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_names_the_key_it_was_made_of() {
        let key = SessionKey {
            created_at: -5,
            id: "a:b\"c".into(),
        };
        for cursors in [Cursors::plain(), Cursors::of(Fingerprint::EMPTY.and("x"))] {
            let cursor = cursors.after(&key);
            assert_eq!(cursors.position(Some(&cursor)).unwrap(), Position::After(key.clone()));
        }
    }

    #[test]
    fn garbage_and_cursors_of_the_other_list_are_errors() {
        let plain = Cursors::<EventKey>::plain();
        for cursor in ["", "x", "-1", "1.5", "e1:", "e1:x", "e2:5", "s1:5:a"] {
            assert!(plain.position(Some(cursor)).is_err(), "{cursor}");
        }
        assert_eq!(
            plain.position(Some("99999999999999999999")).unwrap(),
            Position::Offset(i64::MAX)
        );
    }

    #[test]
    fn a_cursor_is_of_the_filters_that_it_was_made_with() {
        let cursors = |parts: [&str; 2]| Cursors::<EventKey>::of(Fingerprint::EMPTY.and(parts[0]).and(parts[1]));
        let cursor = cursors(["ab", "c"]).after(&EventKey(5));
        // It is part of what callers keep: it must not change from one release to the next.
        assert_eq!(cursor, "e2:7e60470bf599cad6:5");
        assert!(cursors(["ab", "c"]).position(Some(&cursor)).is_ok());
        for other in [cursors(["a", "bc"]), cursors(["c", "ab"]), Cursors::plain()] {
            assert!(other.position(Some(&cursor)).is_err());
        }
        assert!(cursors(["ab", "c"]).position(Some("5")).is_err());
    }
}
