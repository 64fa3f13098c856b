//! Reads lists page by page, in pages that take little memory whatever the size of their items. Jobs and commands that go through all
//! of a list do.

use super::{Calls, Ended};
use crate::store::ReadRequest;
use crate::store::answer::Answer;
use crate::store::cursor::Position;
use crate::store::list::{List, ListRequest};
use crate::store::page::{PageSize, next_cursor};

/// How long a page may be before the next one has fewer items: asking for one this long costs little beside reading it.
const WANTED_BYTES: usize = 2 << 20;

/// Where a page ends, unless one item alone is longer.
const MOST_BYTES: usize = 4 << 20;

/// How many items a page has, by how large they are. These are few numbers, since a store reads ahead for those who go on with pages of
/// one size.
const ITEMS: [u32; 4] = [2, 20, 200, 2_000];

/// The pages of a list, each as its JSON text, whose parts are [`items`](crate::store::page::items).
pub struct Pages<L: List> {
    list: L,
    /// Where the next one begins, if there is one.
    next: Option<Position<L::Key>>,
    /// Which of [`ITEMS`].
    size: usize,
}

impl<L: List + Clone> Pages<L>
where
    ReadRequest: From<ListRequest<L>>,
{
    /// The pages of this list, from the first.
    pub fn of(list: L) -> Self {
        Self {
            list,
            next: Some(Position::Offset(0)),
            size: 2,
        }
    }

    /// The next page; nothing after the last one.
    pub fn next<P>(&mut self, store: &dyn Calls<P>) -> Result<Option<String>, Ended> {
        let Some(position) = self.next.take() else {
            return Ok(None);
        };
        let request = ListRequest {
            list: self.list.clone(),
            position,
            size: PageSize {
                items: ITEMS[self.size],
                bytes: MOST_BYTES,
            },
        };
        let text = match store.read(request.into())? {
            Answer::Json(text) => text,
            answer => return Err(Ended::unexpected(&answer)),
        };
        if let Some(cursor) = next_cursor(&text)? {
            self.next = Some(self.list.cursors().position(Some(&cursor))?);
        }
        if text.len() > WANTED_BYTES {
            self.size = self.size.saturating_sub(1);
        } else if text.len() <= WANTED_BYTES / 20 {
            self.size = (self.size + 1).min(ITEMS.len() - 1);
        }
        Ok(Some(text))
    }
}
