//! The native class behind the drivers of `lib`: the methods of the SDK's interface and those around them, over a store.
//!
//! Each method checks its arguments, hands one request to the store, and returns the promise that the store's answer
//! settles. None of them throws, but for a mistake of ours.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use napi::bindgen_prelude::{Object, This, Unknown};
use napi::{Env, JsValue, Result};
use napi_derive::napi;

use super::arguments;
use super::backup;
use super::compaction;
use super::environment;
use super::error::Failure;
use super::fields::Fields;
use super::follower::Follower;
use super::fork;
use super::job::{self, Job};
use super::labels;
use super::open::Open;
use super::options;
use super::outgoing::{DriverStore, Outgoing};
use super::promises::{Promises, Ticket};
use super::prune;
use super::realm::{Realm, json_text};
use super::requests;
use crate::store::error::StoreError;
use crate::store::jobs::check::Check;
use crate::store::jobs::rebuild::Rebuild;
use crate::store::jobs::vacuum::Vacuum;
use crate::store::jobs::{self, Recipient, deliver_to};
use crate::store::postgres::PostgresStore;
use crate::store::single::SingleRequest;
use crate::store::sqlite::SqliteStore;
use crate::store::write::{RowRequest, WriteRequest};
use crate::store::{Deliver, ReadRequest};

/// One driver, over a store of whatever kind.
#[napi]
pub struct Driver {
    pub(super) open: Rc<Open>,
    drain_timeout: Duration,
    /// The store, where it is one of SQLite, for what only that can do.
    sqlite: Option<Arc<SqliteStore<Recipient<Ticket>>>>,
}

impl Driver {
    /// A driver over the store that `open` begins to open.
    fn open<O>(
        env: &Env,
        functions: &Object<'_>,
        parse: impl FnOnce(&Rc<Realm>) -> std::result::Result<options::Parsed<O>, Failure>,
        open: impl FnOnce(O, Deliver<Recipient<Ticket>>) -> std::result::Result<Arc<DriverStore>, StoreError>,
    ) -> Result<Self> {
        let realm = Rc::new(Realm::of(functions)?);
        let options = parse(&realm).map_err(|failure| failure.into_exception(env, &realm))?;
        let promises = Promises::new(env, &realm)?;
        let deliver: Deliver<Ticket> = Arc::new(promises.deliver());
        let store = open(options.store, deliver_to(Arc::clone(&deliver)))
            .map_err(|error| Failure::from(error).into_exception(env, &realm))?;
        let store = Outgoing::to(store);
        if let Some(at_least) = options.slow {
            store.statistics().call_slow(at_least);
        }
        promises.watch(store.address(), store.statistics());
        let open = Rc::new(Open::new(realm, promises, deliver, store));
        environment::release_at_end(&open);
        Ok(Self {
            open,
            drain_timeout: options.drain_timeout,
            sqlite: None,
        })
    }

    fn write<'env>(
        &self,
        env: &'env Env,
        this: &This<'_>,
        request: WriteRequest,
        event: Option<Object<'_>>,
    ) -> Result<Unknown<'env>> {
        let (ticket, promise) = self.open.promises.promise(env, event)?;
        if self.open.store.write(request, ticket) && self.open.realm.send_after_turn(env, this).is_err() {
            // The environment is going away, and with it the end of this turn.
            self.open.store.send();
        }
        Ok(promise)
    }

    /// Begins a job. Throws when `job` fails, or the driver is closed.
    pub(super) fn begin<J: jobs::Job>(
        &self,
        env: &Env,
        job: impl FnOnce() -> std::result::Result<J, Failure>,
    ) -> Result<Job> {
        let job = job().and_then(|job| {
            self.open.check_not_closed()?;
            Ok(Job::begin(&self.open, job)?)
        });
        job.map_err(|failure| failure.into_exception(env, &self.open.realm))
    }

    fn read<'env>(
        &self,
        env: &'env Env,
        request: impl FnOnce() -> std::result::Result<ReadRequest, Failure>,
    ) -> Result<Unknown<'env>> {
        match request() {
            Ok(request) => {
                let (ticket, promise) = self.open.promises.promise(env, None)?;
                self.open.store.read(request, ticket);
                Ok(promise)
            }
            Err(failure) => self.open.promises.rejected(env, failure),
        }
    }
}

#[napi]
impl Driver {
    /// A driver over an SQLite database.
    #[napi(factory, catch_unwind)]
    pub fn sqlite(env: Env, options: Option<Unknown>, realm: Object) -> Result<Self> {
        let parse = |_: &Rc<Realm>| options::sqlite::parse(options);
        let mut sqlite = None;
        let driver = Self::open(&env, &realm, parse, |options, deliver| {
            let store = Arc::new(SqliteStore::open(options, deliver)?);
            sqlite = Some(Arc::clone(&store));
            Ok(store)
        })?;
        Ok(Self { sqlite, ..driver })
    }

    /// A driver over a Postgres database.
    #[napi(factory, catch_unwind)]
    pub fn postgres(env: Env, options: Option<Unknown>, realm: Object) -> Result<Self> {
        let parse = |realm: &Rc<Realm>| options::postgres::parse(&env, realm, options);
        Self::open(&env, &realm, parse, |options, deliver| {
            Ok(Arc::new(PostgresStore::open(options, deliver)?))
        })
    }

    /// How many calls are not settled.
    #[napi(getter)]
    pub fn pending(&self) -> u32 {
        u32::try_from(self.open.promises.pending()).unwrap_or(u32::MAX)
    }

    /// The option `drainTimeoutMs`, in milliseconds.
    #[napi(getter)]
    #[allow(clippy::cast_precision_loss)] // it came from JavaScript as a smaller number
    pub fn drain_timeout_ms(&self) -> f64 {
        self.drain_timeout.as_millis() as f64
    }

    /// What the store is called by those who watch it.
    #[napi(getter, catch_unwind)]
    pub fn address<'env>(&self, env: &'env Env) -> Result<Unknown<'env>> {
        let text = json_text(self.open.store.address())?;
        let address = self.open.realm.parse(env, &text)?;
        // SAFETY: the value was just made in this environment.
        Ok(unsafe { Unknown::from_raw_unchecked(env.raw(), address) })
    }

    /// Resolves as soon as no call is pending. It is none itself, and keeps nothing alive.
    #[napi(catch_unwind)]
    pub fn when_idle<'env>(&self, env: &'env Env) -> Result<Unknown<'env>> {
        self.open.promises.when_idle(env)
    }

    #[napi(catch_unwind)]
    pub fn get_session<'env>(&self, env: &'env Env, id: Unknown) -> Result<Unknown<'env>> {
        self.read(env, || {
            let id = arguments::string("id", id)?;
            Ok(ReadRequest::GetSession { id })
        })
    }

    #[napi(catch_unwind)]
    pub fn list_sessions<'env>(&self, env: &'env Env, request: Option<Unknown>) -> Result<Unknown<'env>> {
        self.read(env, || requests::sessions(request))
    }

    #[napi(catch_unwind)]
    pub fn list_events<'env>(&self, env: &'env Env, request: Unknown) -> Result<Unknown<'env>> {
        self.read(env, || requests::events(request))
    }

    #[napi(catch_unwind)]
    pub fn update_session<'env>(&self, env: &'env Env, this: This<'_>, session: Unknown) -> Result<Unknown<'env>> {
        match arguments::json_text(env, &self.open.realm, "session", session) {
            Ok(record) => self.write(env, &this, RowRequest::UpdateSession { record }.into(), None),
            Err(failure) => self.open.promises.rejected(env, failure),
        }
    }

    #[napi(catch_unwind)]
    pub fn insert_event<'env>(
        &self,
        env: &'env Env,
        this: This<'_>,
        session_id: Unknown,
        event: Unknown,
    ) -> Result<Unknown<'env>> {
        let request = arguments::string("sessionId", session_id).and_then(|session_id| {
            let text = arguments::json_text(env, &self.open.realm, "event", event)?;
            Ok(RowRequest::InsertEvent {
                session_id,
                event: text,
            })
        });
        match request {
            Ok(request) => {
                let event = Object::from_raw(env.raw(), event.raw());
                self.write(env, &this, request.into(), Some(event))
            }
            Err(failure) => self.open.promises.rejected(env, failure),
        }
    }

    #[napi(catch_unwind)]
    pub fn set_labels<'env>(
        &self,
        env: &'env Env,
        this: This<'_>,
        session_id: Unknown,
        labels: Unknown,
    ) -> Result<Unknown<'env>> {
        let request = arguments::string("sessionId", session_id).and_then(|session_id| {
            let changes = labels::changes(labels)?;
            Ok(SingleRequest::SetLabels { session_id, changes })
        });
        match request {
            Ok(request) => self.write(env, &this, request.into(), None),
            Err(failure) => self.open.promises.rejected(env, failure),
        }
    }

    #[napi(catch_unwind)]
    pub fn delete_session<'env>(&self, env: &'env Env, this: This<'_>, id: Unknown) -> Result<Unknown<'env>> {
        match arguments::string("id", id) {
            Ok(session_id) => self.write(env, &this, SingleRequest::DeleteSession { session_id }.into(), None),
            Err(failure) => self.open.promises.rejected(env, failure),
        }
    }

    #[napi(catch_unwind)]
    pub fn get_labels<'env>(&self, env: &'env Env, session_id: Unknown) -> Result<Unknown<'env>> {
        self.read(env, || {
            let session_id = arguments::string("sessionId", session_id)?;
            Ok(ReadRequest::GetLabels { session_id })
        })
    }

    /// A follower of a session. Throws when the request is wrong, or the driver closed.
    #[napi(catch_unwind)]
    pub fn follow(&self, env: &Env, request: Unknown) -> Result<Follower> {
        let request = requests::follow(request).and_then(|request| {
            self.open.check_not_closed()?;
            Ok(request)
        });
        match request {
            Ok((session_id, after)) => Ok(Follower::of(&self.open, &session_id, after)),
            Err(failure) => Err(failure.into_exception(env, &self.open.realm)),
        }
    }

    #[napi(catch_unwind)]
    pub fn fork_session<'env>(
        &self,
        env: &'env Env,
        this: This<'_>,
        id: Unknown,
        options: Option<Unknown>,
        random_id: Unknown,
    ) -> Result<Unknown<'env>> {
        match fork::request(id, options, random_id) {
            Ok(request) => self.write(env, &this, SingleRequest::Fork(request).into(), None),
            Err(failure) => self.open.promises.rejected(env, failure),
        }
    }

    /// Gives free space back. Throws when the options are wrong, or the driver closed.
    #[napi(catch_unwind)]
    pub fn vacuum(&self, env: &Env, options: Option<Unknown>) -> Result<Job> {
        self.begin(env, || {
            Fields::of("options", options)?.only(&job::FIELDS, "vacuum")?;
            Ok(Vacuum)
        })
    }

    /// Removes sessions, or their older events. Throws when the options are wrong, or the driver closed.
    #[napi(catch_unwind)]
    pub fn prune_sessions(&self, env: &Env, options: Option<Unknown>) -> Result<Job> {
        self.begin(env, || prune::job(options))
    }

    /// Copies the database into a file. Throws when the arguments are wrong, or the driver closed.
    #[napi(catch_unwind)]
    pub fn backup(&self, env: &Env, path: Unknown, options: Option<Unknown>) -> Result<Job> {
        self.begin(env, || {
            let request = backup::request(path, options)?;
            let sqlite = self.sqlite.as_ref();
            Ok(sqlite
                .ok_or_else(|| StoreError::internal("a driver of another database was asked for a backup"))?
                .backup(request))
        })
    }

    /// Joins events of a session. Throws as `vacuum` does.
    #[napi(catch_unwind)]
    pub fn compact_session(&self, env: &Env, id: Unknown, options: Option<Unknown>) -> Result<Job> {
        self.begin(env, || compaction::session(id, options))
    }

    /// Joins events of many sessions. Throws as `vacuum` does.
    #[napi(catch_unwind)]
    pub fn compact_sessions(&self, env: &Env, options: Option<Unknown>) -> Result<Job> {
        self.begin(env, || compaction::sessions(options))
    }

    /// How much the database holds. It is not a pending call, and its failure not one of a call.
    #[napi(catch_unwind)]
    pub fn measure<'env>(&self, env: &'env Env) -> Result<Unknown<'env>> {
        let (ticket, promise) = self.open.promises.of_news(env)?;
        self.open.store.read(ReadRequest::Measure, ticket);
        Ok(promise)
    }

    /// What the store has counted.
    #[napi(catch_unwind)]
    pub fn counters<'env>(&self, env: &'env Env) -> Result<Unknown<'env>> {
        let text = json_text(&self.open.store.statistics().counters())?;
        let counters = self.open.realm.parse(env, &text)?;
        // SAFETY: the value was just made in this environment.
        Ok(unsafe { Unknown::from_raw_unchecked(env.raw(), counters) })
    }

    /// Says whether anybody listens to what the store tells.
    #[napi(catch_unwind)]
    pub fn listen(&self, listened: bool) {
        self.open.store.statistics().notices.listen(listened);
    }

    /// Looks for what an operator should know. Throws when the options are wrong, or the driver closed.
    #[napi(catch_unwind)]
    pub fn check(&self, env: &Env, options: Option<Unknown>) -> Result<Job> {
        self.begin(env, || {
            Fields::of("options", options)?.only(&job::FIELDS, "check")?;
            Ok(Check)
        })
    }

    /// Rebuilds the table of events. Throws when the options are wrong, or the driver closed.
    #[napi(catch_unwind)]
    pub fn rebuild(&self, env: &Env, options: Option<Unknown>, random_id: Unknown) -> Result<Job> {
        self.begin(env, || {
            Fields::of("options", options)?.only(&job::FIELDS, "rebuild")?;
            Ok(Rebuild::new(arguments::string("randomId", random_id)?))
        })
    }

    /// Sends the store what was written in this turn. `lib/realm.ts` calls it at its end.
    #[napi(catch_unwind)]
    pub fn send(&self) {
        self.open.store.send();
    }

    #[napi(catch_unwind)]
    pub fn ready<'env>(&self, env: &'env Env) -> Result<Unknown<'env>> {
        let (ticket, promise) = self.open.promises.promise(env, None)?;
        self.open.store.ready(ticket);
        Ok(promise)
    }

    /// Refuses new calls, commits what was called before, and releases everything.
    #[napi(catch_unwind)]
    pub fn close<'env>(&self, env: &'env Env) -> Result<Unknown<'env>> {
        let (ticket, promise) = self.open.promises.promise(env, None)?;
        self.open.close(ticket);
        Ok(promise)
    }
}
