//! The command line, run on a thread of Node's pool so that signals are heard meanwhile. `lib/cli.ts` calls it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use napi::bindgen_prelude::AsyncTask;
use napi::{Env, Result, Task};
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

/// A run under way.
pub struct Run {
    arguments: Vec<String>,
    stop: Arc<Stop>,
}

impl Task for Run {
    type Output = u8;
    type JsValue = u32;

    fn compute(&mut self) -> Result<u8> {
        let arguments = std::mem::take(&mut self.arguments);
        let code = catch_unwind(AssertUnwindSafe(|| cli::run(arguments, &self.stop)));
        Ok(code.unwrap_or(PANICKED))
    }

    fn resolve(&mut self, _: Env, code: u8) -> Result<u32> {
        Ok(code.into())
    }
}

#[napi]
impl CommandLine {
    #[napi(constructor, catch_unwind)]
    pub fn new() -> Self {
        Self::default()
    }

    /// Runs the command that the arguments name, and resolves to the exit code.
    #[napi(catch_unwind, ts_return_type = "Promise<number>")]
    pub fn run(&self, arguments: Vec<String>) -> AsyncTask<Run> {
        AsyncTask::new(Run {
            arguments,
            stop: Arc::clone(&self.stop),
        })
    }

    /// Wants the command to end with this exit code. Whether the process may end at once.
    #[napi(catch_unwind)]
    pub fn stop(&self, code: u8) -> bool {
        self.stop.request(code)
    }
}
