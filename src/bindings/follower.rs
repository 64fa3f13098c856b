//! The native class behind an iterator of `tailEvents`: one follower of a session. `lib/tail.ts` asks it for pages.

use std::rc::Rc;

use napi::bindgen_prelude::Unknown;
use napi::{Env, Result};
use napi_derive::napi;

use super::open::Open;
use crate::store::follow::FollowerId;

/// A follower. It holds its driver open, and ends when JavaScript lets go of it.
#[napi]
pub struct Follower {
    open: Rc<Open>,
    id: FollowerId,
}

impl Follower {
    pub(super) fn of(open: &Rc<Open>, session_id: &str, after: i64) -> Self {
        let id = open.next_follower();
        open.store.follow(id, session_id, after);
        Self {
            open: Rc::clone(open),
            id,
        }
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.open.store.unfollow(self.id);
    }
}

#[napi]
impl Follower {
    /// The next events, at least one, as soon as there are some; nothing once there will be no more.
    #[napi(catch_unwind)]
    pub fn next_events<'env>(&self, env: &'env Env) -> Result<Unknown<'env>> {
        let (ticket, promise) = self.open.promises.of_news(env)?;
        self.open.store.next_events(self.id, ticket);
        Ok(promise)
    }

    /// Ends it: whoever waits for events gets nothing.
    #[napi(catch_unwind)]
    pub fn end(&self) {
        self.open.store.unfollow(self.id);
    }
}
