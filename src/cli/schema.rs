//! What the tables of the store lack, and the SQL of it, without opening the store. `migrate` calls it.

use super::failure::Failure;
use super::store::{StoreArguments, StoreOptions};
use crate::store::access::Access;
use crate::store::error::StoreError;
use crate::store::postgres::{self, Role};
use crate::store::sqlite;
use crate::store::tables::plan::{MigrationPlan, SqlStep};

/// What a store lacks.
pub(super) struct Lacking {
    /// What the store is called in messages.
    pub(super) store: String,
    /// What adds it.
    pub(super) plan: MigrationPlan,
}

impl StoreArguments {
    /// Looks at the store, which may have no tables yet, and changes nothing.
    pub(super) fn lacking(&self) -> Result<Lacking, Failure> {
        let options = self.options(Access::Read)?;
        Ok(Lacking {
            store: options.name(),
            plan: match options {
                StoreOptions::Sqlite(options) => sqlite::plan(&options.target, &options.tables)?,
                StoreOptions::Postgres(options) => postgres::plan(options)?,
            },
        })
    }

    /// What a new store of this kind lacks, which nobody has to be asked.
    pub(super) fn lacking_when_new(&self) -> Result<MigrationPlan, StoreError> {
        if self.is_postgres() {
            return postgres::creation(&self.postgres_tables()?);
        }
        sqlite::creation(&self.sqlite_tables()?)
    }

    /// What lets a role use the tables. Files have no roles.
    pub(super) fn grants(&self, role: &Role) -> Result<Option<SqlStep>, StoreError> {
        if !self.is_postgres() {
            return Ok(None);
        }
        Ok(Some(postgres::grants(&self.postgres_tables()?, role)))
    }
}
