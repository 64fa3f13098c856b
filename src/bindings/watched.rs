//! What a store tells those who watch it, on its way to `lib/channels.ts`. `promises` sends it on with the answers.

use std::sync::Arc;

use napi::{Env, Result};
use serde::Serialize;

use super::option_names;
use super::realm::{Realm, json_text};
use crate::store::address::StoreAddress;
use crate::store::notices::{Listener, Notice};
use crate::store::statistics::Statistics;

/// A store that may be watched.
pub(super) struct Watched {
    address: StoreAddress,
    statistics: Arc<Statistics>,
}

/// What is sent on.
#[derive(Serialize)]
struct Told<'a> {
    store: &'a StoreAddress,
    notices: Vec<Notice>,
}

impl Watched {
    /// A store, which calls `wake` when what it tells should not wait for an answer.
    pub(super) fn new(
        address: &StoreAddress,
        statistics: &Arc<Statistics>,
        wake: impl Fn() + Send + Sync + 'static,
    ) -> Self {
        statistics.notices.attach(Listener {
            wake: Box::new(wake),
            name: option_names::name,
        });
        Self {
            address: address.clone(),
            statistics: Arc::clone(statistics),
        }
    }

    /// A call has failed.
    pub(super) fn failed(&self) {
        self.statistics.failed();
    }

    /// Sends on what the store has told since the last time.
    pub(super) fn publish(&self, env: &Env, realm: &Realm) -> Result<()> {
        let notices = self.statistics.notices.take();
        if notices.is_empty() {
            return Ok(());
        }
        let told = Told {
            store: &self.address,
            notices,
        };
        realm.publish(env, &json_text(&told)?)
    }
}
