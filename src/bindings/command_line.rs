//! The command line, run on a thread of its own so that signals are heard meanwhile. `lib/cli.ts` calls it.
//!
//! It is none of Node's own threads: for these the process waits when it exits, and one that waits for the user never ends.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;

use napi::bindgen_prelude::Object;
use napi::{Env, Error, Result, Status};
use napi_derive::napi;

use crate::cli::{self, Stop};

/// The exit code after a mistake of ours, as Rust has it for panics.
const PANICKED: u8 = 101;

/// One run of the command line.
#[napi]
#[derive(Default)]
pub struct CommandLine {
    stop: Arc<Stop>,
}

#[napi]
impl CommandLine {
    #[napi(constructor, catch_unwind)]
    pub fn new() -> Self {
        Self::default()
    }

    /// Runs the command that the arguments name, and resolves to the exit code.
    #[napi(catch_unwind, ts_return_type = "Promise<number>")]
    pub fn run<'env>(&self, env: &'env Env, arguments: Vec<String>) -> Result<Object<'env>> {
        let (deferred, promise) = env.create_deferred()?;
        let stop = Arc::clone(&self.stop);
        let run = move || {
            let code = catch_unwind(AssertUnwindSafe(|| cli::run(&arguments, &stop)));
            let code = u32::from(code.unwrap_or(PANICKED));
            deferred.resolve(move |_| Ok(code));
        };
        let begun = thread::Builder::new().name(String::from("command")).spawn(run);
        begun.map_err(|error| Error::new(Status::GenericFailure, format!("starting a thread failed: {error}")))?;
        Ok(promise)
    }

    /// Wants the command to end with this exit code. Whether the process may end at once.
    #[napi(catch_unwind)]
    pub fn stop(&self, code: u8) -> bool {
        self.stop.request(code)
    }
}
