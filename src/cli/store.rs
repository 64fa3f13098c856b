//! Which store a command works on, and opening it.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use super::failure::Failure;
use super::text::Printable;
use crate::store::access::Access;
use crate::store::cap::Caps;
use crate::store::error::{ErrorKind, Quoted, StoreError};
use crate::store::jobs::{JobStore, Recipient, deliver_to};
use crate::store::postgres::{self, DEFAULT_SCHEMA, PostgresOptions, PostgresStore, take_parameter};
use crate::store::sqlite::{self, Location, SqliteOptions, SqliteStore};
use crate::store::statistics::DatabaseSize;
use crate::store::tables::TablePrefix;
use crate::store::{Answer, IndexConflict, ReadRequest, Store};

/// What the help calls the arguments that every command has.
pub(super) const EVERYWHERE: &str = "Options of every command";

/// How many KiB of pages the writer of an SQLite file keeps in memory: those of one step of a copy. What commands write lies together.
const WRITER_CACHE_KIB: i64 = 8_000;

/// The store that every command works on.
#[derive(Debug, clap::Args)]
pub(super) struct StoreArguments {
    /// The file of an SQLite store, or the URL of a Postgres database (`?schema=` names the schema)
    ///
    /// Other users of the machine see the arguments of a process: keep a password in the environment variable, or in ~/.pgpass.
    #[arg(
        long,
        global = true, help_heading = EVERYWHERE,
        value_name = "PATH|URL",
        env = "SANDBOX_AGENT_PERSIST_URL",
        hide_env_values = true,
        default_value = "./sandbox-agent.db"
    )]
    store: String,

    /// What the names of the tables begin with
    #[arg(
        long,
        global = true, help_heading = EVERYWHERE,
        value_name = "PREFIX",
        default_value = "",
        hide_default_value = true
    )]
    table_prefix: String,
}

/// Who calls a store beside jobs: nobody.
#[derive(Debug)]
pub(super) enum NoCaller {}

/// How a store of either kind is opened.
pub(super) enum StoreOptions {
    Sqlite(SqliteOptions),
    Postgres(PostgresOptions),
}

/// A store that is open.
pub(super) struct OpenStore {
    /// The store, as jobs call it.
    pub(super) calls: JobStore<NoCaller>,
    /// What it is called in messages, which is no secret and does nothing to a terminal.
    pub(super) name: String,
    /// The store, where it is one of SQLite, for what only that can do.
    pub(super) sqlite: Option<Arc<SqliteStore<Recipient<NoCaller>>>>,
}

impl StoreArguments {
    /// Opens the store, and waits until it can be used.
    pub(super) fn open(&self, access: Access) -> Result<OpenStore, Failure> {
        let options = self.options(access)?;
        if let StoreOptions::Sqlite(options) = &options
            && let Location::File(path) = &options.target.location
        {
            check_is_file(path, access)?;
        }
        OpenStore::open(options)
    }

    /// Another store in the place of this one; its tables begin as this one's do, unless another prefix is given.
    pub(super) fn at(&self, store: &str, table_prefix: Option<&str>) -> Self {
        Self {
            store: store.to_owned(),
            table_prefix: table_prefix.unwrap_or(&self.table_prefix).to_owned(),
        }
    }

    /// Opens the store, unless there is none, or it has no tables of ours at all.
    pub(super) fn open_if_any(&self, access: Access) -> Result<Option<OpenStore>, Failure> {
        match self.open(access) {
            Ok(store) => Ok(Some(store)),
            Err(Failure::NotFound(_)) => Ok(None),
            Err(Failure::Store(error)) if error.kind == ErrorKind::NoTables => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    /// What the store is called in messages, which is no secret and does nothing to a terminal.
    pub(super) fn name(&self) -> Result<String, Failure> {
        Ok(self.options(Access::Read)?.name())
    }

    /// How the store is opened.
    pub(super) fn options(&self, access: Access) -> Result<StoreOptions, Failure> {
        // A variable that a script has left empty is not taken for the default: another store would be changed.
        if self.store.is_empty() {
            return Err(Failure::Usage(String::from(
                "the store has an empty name: give --store or SANDBOX_AGENT_PERSIST_URL a path or a URL, or leave them out",
            )));
        }
        if self.is_postgres() {
            return Ok(StoreOptions::Postgres(self.postgres_options(access)?));
        }
        Ok(StoreOptions::Sqlite(self.sqlite_options(access)?))
    }

    /// Whether it is a database of Postgres, and no file.
    pub(super) fn is_postgres(&self) -> bool {
        let schemes = ["postgres://", "postgresql://"];
        schemes.iter().any(|scheme| self.store.starts_with(scheme))
    }

    fn sqlite_options(&self, access: Access) -> Result<SqliteOptions, Failure> {
        // What looks like another way to say where a server is, is never taken for a path: an error would show the password in it.
        if is_like_a_server(&self.store) && !Path::new(&self.store).exists() {
            return Err(Failure::Usage(String::from(
                "--store must be the path of a file, or a URL that begins with postgres:// or postgresql://",
            )));
        }
        let location = Location::parse(&self.store)?;
        if let Location::Memory(_) = location {
            return Err(Failure::Usage(String::from(
                "--store must be a file: a database in memory has no sessions",
            )));
        }
        let target = sqlite::Target {
            access,
            writer_cache_kib: WRITER_CACHE_KIB,
            ..sqlite::Target::new(location)
        };
        Ok(file_options(target, self.sqlite_tables()?))
    }

    fn postgres_options(&self, access: Access) -> Result<PostgresOptions, Failure> {
        let (url, _) = take_parameter(&self.store, "schema")?;
        let connection = postgres::ConnectionOptions {
            connection_string: Some(url),
            ..postgres::ConnectionOptions::default()
        };
        let target = postgres::Target::parse(connection, &postgres::Environment::of_process())?;
        Ok(PostgresOptions {
            access,
            index_conflict: IndexConflict::Reject,
            max_connections: 4,
            ..PostgresOptions::new(target, self.postgres_tables()?)
        })
    }

    /// What the tables are called in a file.
    pub(super) fn sqlite_tables(&self) -> Result<sqlite::Tables, StoreError> {
        Ok(sqlite::Tables::with_prefix(&TablePrefix::parse(&self.table_prefix)?))
    }

    /// The same in a database of Postgres.
    pub(super) fn postgres_tables(&self) -> Result<postgres::Tables, StoreError> {
        let (_, schema) = take_parameter(&self.store, "schema")?;
        let prefix = TablePrefix::parse(&self.table_prefix)?;
        postgres::Tables::new(schema.as_deref().unwrap_or(DEFAULT_SCHEMA), &prefix)
    }
}

impl StoreOptions {
    /// What the store is called in messages, which is no secret. The name of a file may have any characters.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Sqlite(options) => Printable(&options.target.location.name()).to_string(),
            Self::Postgres(options) => {
                let (database, schema) = (options.target.name(), options.tables.schema());
                match schema {
                    DEFAULT_SCHEMA => Printable(database).to_string(),
                    schema => format!("{}, schema {}", Printable(database), Quoted(schema)),
                }
            }
        }
    }
}

impl OpenStore {
    /// A store with nothing in it, in the memory of this process: what a store would be that is not there yet.
    pub(super) fn empty() -> Result<Self, Failure> {
        let target = sqlite::Target::new(Location::parse(Location::MEMORY)?);
        let tables = sqlite::Tables::with_prefix(&TablePrefix::default());
        Self::open(StoreOptions::Sqlite(file_options(target, tables)))
    }

    fn open(options: StoreOptions) -> Result<Self, Failure> {
        let name = options.name();
        let deliver = deliver_to(Arc::new(|_| {}));
        let (store, sqlite): (Arc<dyn Store<_> + Send + Sync>, _) = match options {
            StoreOptions::Sqlite(options) => {
                let store = Arc::new(SqliteStore::open(options, deliver)?);
                (Arc::clone(&store) as _, Some(store))
            }
            StoreOptions::Postgres(options) => (Arc::new(PostgresStore::open(options, deliver)?), None),
        };
        let calls = JobStore::new(store);
        calls.ready()?;
        Ok(Self { calls, name, sqlite })
    }

    /// Fails if there is no record of the session.
    pub(super) fn check_has(&self, session_id: &str) -> Result<(), Failure> {
        let request = ReadRequest::GetSession {
            id: session_id.to_owned(),
        };
        match self.calls.read(request)? {
            Answer::Absent => Err(self.has_no(session_id)),
            _ => Ok(()),
        }
    }

    /// How a command ends that was given the id of a session that there is not.
    pub(super) fn has_no(&self, session_id: &str) -> Failure {
        Failure::NotFound(format!(
            "there is no session {} in {}: `sandbox-agent-persist sessions` lists those that there are",
            Quoted(session_id),
            self.name
        ))
    }

    /// How much it holds.
    pub(super) fn measure(&self) -> Result<DatabaseSize, Failure> {
        match self.calls.read(ReadRequest::Measure)? {
            Answer::Measured(size) => Ok(*size),
            answer => Err(StoreError::internal(&format!("measuring was answered {answer:?}")).into()),
        }
    }

    /// Releases everything once work has ended, however it did.
    pub(super) fn close_after<R>(self, done: Result<R, Failure>) -> Result<R, Failure> {
        let closed = self.close();
        let done = done?;
        closed?;
        Ok(done)
    }

    /// Waits until all is stored, and releases everything.
    pub(super) fn close(self) -> Result<(), StoreError> {
        self.calls.close()
    }
}

fn file_options(target: sqlite::Target, tables: sqlite::Tables) -> SqliteOptions {
    SqliteOptions {
        target,
        tables,
        index_conflict: IndexConflict::Reject,
        caps: Caps::default(),
    }
}

/// Whether it says where a server is, in whatever way, or is meant to: a password may be in it.
fn is_like_a_server(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    let has_login = || text.split_once('@').is_some_and(|(login, _)| login.contains(':'));
    let has_word = || text.contains("password") && text.contains('=');
    text.contains("://")
        || text.starts_with("postgres:")
        || text.starts_with("postgresql:")
        || has_word()
        || has_login()
}

/// Refuses what is no file, before SQLite opens it: a pipe would be waited for. Where tables may be created there need be none yet.
fn check_is_file(path: &Path, access: Access) -> Result<(), Failure> {
    let name = path.display();
    let problem = match fs::metadata(path) {
        Ok(found) if found.is_file() => return Ok(()),
        Ok(found) if found.is_dir() => format!("{name} is a directory: name the file of a store in it"),
        Ok(_) => format!("{name} is no file: name that of a store"),
        Err(_) if access == Access::Migrate => return Ok(()),
        Err(_) => format!("there is no store at {name}: name one"),
    };
    Err(Failure::NotFound(format!(
        "{problem} with --store, or with SANDBOX_AGENT_PERSIST_URL"
    )))
}
