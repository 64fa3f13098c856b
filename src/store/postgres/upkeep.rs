//! Writes that are of no session. `serve` calls it.

use std::rc::Rc;

use super::database::{Database, Purpose};
use super::tables::Preparation;
use crate::store::Answer;
use crate::store::jobs::JobAnswer;
use crate::store::upkeep::UpkeepRequest;
use crate::store::write::WriteResult;

/// See the module's description.
pub(super) struct Upkeep {
    database: Rc<Database>,
    preparation: Rc<Preparation>,
}

impl Upkeep {
    pub(super) fn new(database: Rc<Database>, preparation: Rc<Preparation>) -> Self {
        Self { database, preparation }
    }

    /// Does what was asked for, however long it takes.
    pub(super) async fn run(&self, request: UpkeepRequest) -> WriteResult {
        self.preparation.done().await?;
        let done = match request {
            UpkeepRequest::FreeSpace => self.free_space().await,
        };
        done.map_err(|failure| {
            failure.into_error(&format!("{} {}", request.doing(), self.database.options.target.name()))
        })
    }

    async fn free_space(&self) -> Result<Answer, super::error::Failure> {
        let tables = &self.database.options.tables;
        self.database
            .run_unlimited(Purpose::Read, async |connection| {
                for table in [&tables.events, &tables.sessions, &tables.labels, &tables.deleted] {
                    connection.batch_execute(&format!("VACUUM {table}")).await?;
                }
                Ok(())
            })
            .await?;
        Ok(Answer::OfJob(JobAnswer::Freed {
            bytes: 0,
            is_more: false,
        }))
    }
}
