//! What every driver class does: the five methods of the SDK's interface, `ready` and `close`, over a store.
//!
//! Each checks its arguments, hands one request to the store, and returns the promise that the store's answer settles.

use std::sync::Arc;

use napi::bindgen_prelude::{Object, Unknown};
use napi::{Env, JsValue, Result};

use super::arguments::{self, Stringify};
use super::error::Failure;
use super::promises::{self, Promises, Ticket};
use crate::store::commit::WriteRequest;
use crate::store::error::StoreError;
use crate::store::{Deliver, ReadRequest, Store};

/// One driver, over a store of whatever kind.
pub(super) struct Driver<S> {
    stringify: Stringify,
    promises: Promises,
    store: S,
}

impl<S: Store<Ticket>> Driver<S> {
    /// A driver over the store that `open` begins to open.
    pub(super) fn open(
        env: &Env,
        open: impl FnOnce(Deliver<Ticket>) -> std::result::Result<S, StoreError>,
    ) -> Result<Self> {
        let promises = Promises::new(env)?;
        let store = open(Arc::new(promises.deliver())).map_err(|error| Failure::from(error).into_exception(env))?;
        Ok(Self {
            stringify: Stringify::of(env)?,
            promises,
            store,
        })
    }

    pub(super) fn get_session<'env>(&self, env: &'env Env, id: Unknown<'_>) -> Result<Unknown<'env>> {
        self.read(env, || {
            let id = arguments::string("id", id)?;
            Ok(ReadRequest::GetSession { id })
        })
    }

    pub(super) fn list_sessions<'env>(&self, env: &'env Env, request: Option<Unknown<'_>>) -> Result<Unknown<'env>> {
        self.read(env, || {
            let request = request
                .map(|request| arguments::object("request", request))
                .transpose()?;
            let (position, limit) = arguments::page(request.as_ref())?;
            Ok(ReadRequest::ListSessions { position, limit })
        })
    }

    pub(super) fn list_events<'env>(&self, env: &'env Env, request: Unknown<'_>) -> Result<Unknown<'env>> {
        self.read(env, || {
            let request = arguments::object("request", request)?;
            let session_id = arguments::field(&request, "sessionId")?;
            let session_id = arguments::string("request.sessionId", session_id)?;
            let (position, limit) = arguments::page(Some(&request))?;
            Ok(ReadRequest::ListEvents {
                session_id,
                position,
                limit,
            })
        })
    }

    pub(super) fn update_session<'env>(&self, env: &'env Env, session: Unknown<'_>) -> Result<Unknown<'env>> {
        match self.stringify.text_of(env, "session", session) {
            Ok(record) => self.write(env, WriteRequest::UpdateSession { record }, None),
            Err(failure) => promises::rejected(env, failure),
        }
    }

    pub(super) fn insert_event<'env>(
        &self,
        env: &'env Env,
        session_id: Unknown<'_>,
        event: Unknown<'_>,
    ) -> Result<Unknown<'env>> {
        let request = arguments::string("sessionId", session_id).and_then(|session_id| {
            let event = self.stringify.text_of(env, "event", event)?;
            Ok(WriteRequest::InsertEvent { session_id, event })
        });
        match request {
            Ok(request) => {
                let event = Object::from_raw(env.raw(), event.raw());
                self.write(env, request, Some(event))
            }
            Err(failure) => promises::rejected(env, failure),
        }
    }

    pub(super) fn ready<'env>(&self, env: &'env Env) -> Result<Unknown<'env>> {
        let (ticket, promise) = self.promises.promise(env, None)?;
        self.store.ready(ticket);
        Ok(promise)
    }

    pub(super) fn close<'env>(&self, env: &'env Env) -> Result<Unknown<'env>> {
        let (ticket, promise) = self.promises.promise(env, None)?;
        self.store.close(ticket);
        Ok(promise)
    }

    fn write<'env>(&self, env: &'env Env, request: WriteRequest, event: Option<Object<'_>>) -> Result<Unknown<'env>> {
        let (ticket, promise) = self.promises.promise(env, event)?;
        self.store.write(request, ticket);
        Ok(promise)
    }

    fn read<'env>(
        &self,
        env: &'env Env,
        request: impl FnOnce() -> std::result::Result<ReadRequest, Failure>,
    ) -> Result<Unknown<'env>> {
        match request() {
            Ok(request) => {
                let (ticket, promise) = self.promises.promise(env, None)?;
                self.store.read(request, ticket);
                Ok(promise)
            }
            Err(failure) => promises::rejected(env, failure),
        }
    }
}
