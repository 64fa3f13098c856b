//! The class `SQLiteSessionPersistDriver`, as JavaScript sees it. [`super::driver`] does the work.

use napi::bindgen_prelude::Unknown;
use napi::{Env, Result};
use napi_derive::napi;

use super::driver::Driver;
use super::options;
use super::promises::Ticket;
use crate::store::sqlite::SqliteStore;

/// Keeps the sessions and events of the `sandbox-agent` SDK in an SQLite file.
///
/// Pass it as `persist` to `SandboxAgent.connect` or `SandboxAgent.start`. All work happens on threads of its own: the
/// event loop never waits for the disk. Many drivers, in many processes, may use one file at once.
///
/// Every failure is a rejected promise with an `Error` that has a `code`, such as `ERR_PERSIST_BUSY`; only the
/// constructor throws. Wrong arguments are a `TypeError`. Where SQLite refused, its own message is the `cause` and its
/// code the `sqliteCode`; where the caller's own code threw (a getter, a `toJSON`), that is the `cause`.
///
/// @example
/// ```ts
/// import { SandboxAgent } from "sandbox-agent";
/// import { SQLiteSessionPersistDriver } from "sandbox-agent-persist";
///
/// const persist = new SQLiteSessionPersistDriver({ filename: "./sandbox-agent.db" });
/// const sdk = await SandboxAgent.connect({ baseUrl: "http://127.0.0.1:2468", persist });
/// // ...
/// await sdk.dispose();
/// await persist.close();
/// ```
#[napi(js_name = "SQLiteSessionPersistDriver")]
pub struct SQLiteSessionPersistDriver {
    driver: Driver<SqliteStore<Ticket>>,
}

#[napi]
impl SQLiteSessionPersistDriver {
    /// Begins to open the database, in the background; every call waits for it.
    ///
    /// @throws `TypeError` with the code `ERR_PERSIST_INVALID_ARGUMENT` when an option is wrong or unknown.
    /// @example
    /// ```ts
    /// const persist = new SQLiteSessionPersistDriver({ filename: "./sandbox-agent.db", durability: "full" });
    /// ```
    #[napi(constructor, catch_unwind)]
    pub fn new(
        env: Env,
        #[napi(ts_arg_type = "SQLiteSessionPersistDriverOptions")] options: Option<Unknown>,
    ) -> Result<Self> {
        let options = options::sqlite::parse(options).map_err(|failure| failure.into_exception(&env))?;
        Ok(Self {
            driver: Driver::open(&env, |deliver| SqliteStore::open(options, deliver))?,
        })
    }

    /// Resolves once the database is open and its tables are ready. There is no need to call it: it tells early
    /// whether the file can be used. A failed opening is tried again by the next call, whichever it is.
    ///
    /// @throws `ERR_PERSIST_UNAVAILABLE` (no such directory, no right), `ERR_PERSIST_CORRUPT` (not a database),
    /// `ERR_PERSIST_FOREIGN_TABLE`, `ERR_PERSIST_SCHEMA`, `ERR_PERSIST_BUSY`, `ERR_PERSIST_READONLY`, `ERR_PERSIST_FULL`.
    /// @example
    /// ```ts
    /// await persist.ready();
    /// ```
    #[napi(catch_unwind, ts_return_type = "Promise<void>")]
    pub fn ready<'env>(&self, env: &'env Env) -> Result<Unknown<'env>> {
        self.driver.ready(env)
    }

    /// The session's record, or `undefined` when there is none.
    ///
    /// @example
    /// ```ts
    /// const record = await persist.getSession("my-session");
    /// ```
    #[napi(catch_unwind, ts_return_type = "Promise<SessionRecord | undefined>")]
    pub fn get_session<'env>(
        &self,
        env: &'env Env,
        #[napi(ts_arg_type = "string")] id: Unknown,
    ) -> Result<Unknown<'env>> {
        self.driver.get_session(env, id)
    }

    /// A page of sessions, in order of `(createdAt, id)`: at most `limit` of them, 100 when `limit` is left out, not
    /// finite or below 1. Pass `nextCursor` as `cursor` to get the next page; the last page has none. Sessions that
    /// come or go meanwhile make no other session repeat or be skipped.
    ///
    /// @example
    /// ```ts
    /// let cursor: string | undefined;
    /// do {
    ///   const page = await persist.listSessions({ cursor, limit: 50 });
    ///   for (const record of page.items) console.log(record.id);
    ///   cursor = page.nextCursor;
    /// } while (cursor);
    /// ```
    #[napi(catch_unwind, ts_return_type = "Promise<ListPage<SessionRecord>>")]
    pub fn list_sessions<'env>(
        &self,
        env: &'env Env,
        #[napi(ts_arg_type = "ListPageRequest")] request: Option<Unknown>,
    ) -> Result<Unknown<'env>> {
        self.driver.list_sessions(env, request)
    }

    /// Stores the record, in place of the one with its id if there is one: a field that is absent now is cleared.
    /// Resolves once it is on disk.
    ///
    /// @example
    /// ```ts
    /// const record = await persist.getSession("my-session");
    /// if (record) await persist.updateSession({ ...record, destroyedAt: Date.now() });
    /// ```
    #[napi(catch_unwind, ts_return_type = "Promise<void>")]
    pub fn update_session<'env>(
        &self,
        env: &'env Env,
        #[napi(ts_arg_type = "SessionRecord")] session: Unknown,
    ) -> Result<Unknown<'env>> {
        self.driver.update_session(env, session)
    }

    /// A page of one session's events, in order of `eventIndex`: at most `limit` of them, 100 when `limit` is left out,
    /// not finite or below 1; fewer when their JSON text would pass 256 MiB. Pass `nextCursor` as `cursor` to get the
    /// next page; the last page has none.
    ///
    /// @example
    /// ```ts
    /// const page = await persist.listEvents({ sessionId: "my-session", limit: 500 });
    /// ```
    #[napi(catch_unwind, ts_return_type = "Promise<ListPage<SessionEvent>>")]
    pub fn list_events<'env>(
        &self,
        env: &'env Env,
        #[napi(ts_arg_type = "ListEventsRequest")] request: Unknown,
    ) -> Result<Unknown<'env>> {
        self.driver.list_events(env, request)
    }

    /// Stores the event. Resolves once it is on disk. Storing the same event again, by its `id` and `eventIndex`,
    /// replaces it. When another event has its index, `onEventIndexConflict` decides. Retry with the object that you
    /// passed: it carries the index that the event is stored at.
    ///
    /// @throws `ERR_PERSIST_INDEX_CONFLICT` with `onEventIndexConflict: "reject"`, and with `"reassign"` when the new index
    /// cannot be set on a frozen object (the event is stored then); `ERR_PERSIST_FULL` when the disk is full; `ERR_PERSIST_BUSY` when another process held the file's lock for longer than `busyTimeoutMs`, or 512 MiB of
    /// events wait for the disk already.
    /// @example
    /// ```ts
    /// await persist.insertEvent(event.sessionId, event);
    /// ```
    #[napi(catch_unwind, ts_return_type = "Promise<void>")]
    pub fn insert_event<'env>(
        &self,
        env: &'env Env,
        #[napi(ts_arg_type = "string")] session_id: Unknown,
        #[napi(ts_arg_type = "SessionEvent")] event: Unknown,
    ) -> Result<Unknown<'env>> {
        self.driver.insert_event(env, session_id, event)
    }

    /// Refuses new calls, commits what was called before, and releases everything: threads, connections, files. May be
    /// called twice. `await using persist = ...` calls it by itself.
    ///
    /// @example
    /// ```ts
    /// await persist.close();
    /// ```
    #[napi(catch_unwind, ts_return_type = "Promise<void>")]
    pub fn close<'env>(&self, env: &'env Env) -> Result<Unknown<'env>> {
        self.driver.close(env)
    }
}
