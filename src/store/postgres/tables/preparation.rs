//! The making ready of the tables, which all calls of a driver wait for. `super::super`, `read` and `write` call it.

use std::cell::RefCell;
use std::rc::Rc;

use futures_util::FutureExt;
use futures_util::future::{LocalBoxFuture, Shared};
use tokio::task::spawn_local;

use super::migrate;
use crate::store::error::{StoreError, catching_async};
use crate::store::message::{StoreOption, message};
use crate::store::postgres::database::Database;

/// See the module's description.
pub(in crate::store::postgres) struct Preparation {
    database: Rc<Database>,
    last: RefCell<Option<Try>>,
}

struct Try {
    result: Shared<LocalBoxFuture<'static, Result<(), StoreError>>>,
    /// What [`Database::schema_refusals`] was when it began.
    schema_refusals: u64,
}

impl Preparation {
    pub(in crate::store::postgres) fn new(database: Rc<Database>) -> Self {
        Self {
            database,
            last: RefCell::new(None),
        }
    }

    /// Waits until the tables are ready. If the last try failed a new one begins, and so it does when the server has said
    /// since that the tables are no longer what they were; what comes of it is told to all who wait for it.
    pub(in crate::store::postgres) async fn done(&self) -> Result<(), StoreError> {
        let result = {
            let mut last = self.last.borrow_mut();
            let schema_refusals = self.database.schema_refusals();
            match &*last {
                Some(last)
                    if last.schema_refusals == schema_refusals && !matches!(last.result.peek(), Some(Err(_))) =>
                {
                    last.result.clone()
                }
                _ => {
                    let result = prepare(&self.database);
                    *last = Some(Try {
                        result: result.clone(),
                        schema_refusals,
                    });
                    result
                }
            }
        };
        result.await
    }

    /// What `ready` answers: as [`Self::done`], but for a server that cannot be reached and never could. That is told
    /// soon, since the address is most likely wrong. The preparation goes on, for the calls that wait for it.
    pub(in crate::store::postgres) async fn ready(&self) -> Result<(), StoreError> {
        tokio::select! {
            biased;
            done = self.done() => done,
            failure = self.database.never_reached() => {
                let mut error = failure.into_error(&format!("connecting to {}", self.database.options.target.name()));
                error.message.push(message!["; writes go on being tried for ", StoreOption::QueryTimeout]);
                Err(error)
            }
        }
    }
}

/// In a task of its own: a migration goes on though those who waited for it have given up.
fn prepare(database: &Rc<Database>) -> Shared<LocalBoxFuture<'static, Result<(), StoreError>>> {
    let database = Rc::clone(database);
    let task = spawn_local(async move { catching_async("making the tables ready", migrate::prepare(&database)).await });
    let result = task.map(|ended| ended.unwrap_or_else(|_| Err(StoreError::closed())));
    result.boxed_local().shared()
}
