//! The native class behind `copySessions`: a job that copies, and the sessions that JavaScript hands it. `lib/copy.ts` uses it.

use std::rc::Rc;
use std::sync::Arc;

use napi::bindgen_prelude::Unknown;
use napi::{Env, Result};
use napi_derive::napi;

use super::arguments;
use super::driver::Driver;
use super::error::Failure;
use super::fields::Fields;
use super::handover::{Handed, Handover};
use super::job::{self, Job};
use super::labels;
use super::open::Open;
use crate::store::jobs::copy::{Copy, CopyOptions, Known, Selection, Source, SourceSession, StoreSource};
use crate::store::mode::Mode;

/// `copySessions` leads: what it finds at the target that is another record or has other labels gets the source's.
const OPTIONS: CopyOptions = CopyOptions {
    mode: Mode::Run,
    known: Known::Replaced,
};

/// A copy that is under way. It ends when JavaScript lets go of it.
#[napi]
pub struct Copying {
    open: Rc<Open>,
    job: Job,
    /// Where it takes the sessions from, unless it is a store of ours.
    handover: Arc<Handover>,
}

impl Copying {
    fn begin<S: Source + 'static>(
        env: &Env,
        target: &Driver,
        options: Option<Unknown<'_>>,
        handover: Arc<Handover>,
        source: impl FnOnce() -> S,
    ) -> Result<Self> {
        let job = target.begin(env, || {
            // `sessions` is read in `lib/copy.ts`.
            let known = [&["sessions"][..], &job::FIELDS].concat();
            Fields::of("options", options)?.only(&known, "copySessions")?;
            Ok(Copy::new(Box::new(source()), OPTIONS))
        })?;
        let open = Rc::clone(&target.open);
        Ok(Self { open, job, handover })
    }

    fn hand<'env>(&self, env: &'env Env, handed: std::result::Result<Handed, Failure>) -> Result<Unknown<'env>> {
        match handed {
            Ok(handed) => {
                let (ticket, promise) = self.open.promises.of_news(env)?;
                self.handover.hand(handed, ticket);
                Ok(promise)
            }
            Err(failure) => self.open.promises.rejected(env, failure),
        }
    }
}

impl Drop for Copying {
    fn drop(&mut self) {
        self.end();
    }
}

#[napi]
impl Copying {
    /// Begins to copy what is handed over with the methods below. Throws when the options are wrong, or the target closed.
    #[napi(factory, catch_unwind)]
    pub fn of(env: Env, target: &Driver, options: Option<Unknown>) -> Result<Self> {
        let handover = target.open.handover();
        let source = Arc::clone(&handover).source();
        Self::begin(&env, target, options, handover, || source)
    }

    /// Begins to copy sessions of another driver: those with these ids, or all. Nothing is handed over.
    #[napi(factory, catch_unwind)]
    pub fn between(
        env: Env,
        source: &Driver,
        target: &Driver,
        options: Option<Unknown>,
        ids: Option<Vec<String>>,
    ) -> Result<Self> {
        let handover = target.open.handover();
        Self::begin(&env, target, options, handover, || {
            StoreSource::new(
                job::calls_of_source(&source.open),
                ids.map_or(Selection::All, Selection::Ids),
            )
        })
    }

    /// Hands over the next session: its id, the JSON text of its record, and its labels. Resolves when the one before is dealt with.
    #[napi(catch_unwind)]
    pub fn hand_session<'env>(
        &self,
        env: &'env Env,
        id: Unknown,
        record: Unknown,
        labels: Option<Unknown>,
    ) -> Result<Unknown<'env>> {
        let session = arguments::string("session.id", id).and_then(|id| {
            let labels = labels.map(|labels| labels::wanted("labels", labels)).transpose()?;
            Ok(SourceSession {
                id,
                record: Some(arguments::string("session", record)?),
                labels: labels.unwrap_or_default(),
            })
        });
        self.hand(env, session.map(Handed::Session))
    }

    /// Hands over the next events of that session: their JSON texts, by ascending index. Resolves when they are taken.
    #[napi(catch_unwind)]
    pub fn hand_events<'env>(&self, env: &'env Env, events: Vec<String>) -> Result<Unknown<'env>> {
        self.hand(env, Ok(Handed::Events(events)))
    }

    /// Says that there are no more sessions.
    #[napi(catch_unwind)]
    pub fn hand_end<'env>(&self, env: &'env Env) -> Result<Unknown<'env>> {
        self.hand(env, Ok(Handed::End))
    }

    /// How far it is, once that has changed, or its result; nothing once it was ended.
    #[napi(catch_unwind)]
    pub fn next<'env>(&self, env: &'env Env) -> Result<Unknown<'env>> {
        self.job.next(env)
    }

    /// Ends it after the call that is under way.
    #[napi(catch_unwind)]
    pub fn end(&self) {
        self.job.end();
        self.handover.end();
    }
}
