//! The command line: reads arguments, opens a store, and runs a command over it. `bindings::command_line` calls [`run`].
//!
//! [`arguments`] has all commands and their help, and [`commands`] a file for each. What they share stands beside it: which store
//! ([`store`], [`tables`]), which sessions ([`filters`]), calling it ([`calls`]), what is printed ([`output`], [`table`], [`text`], [`time`]), asking before something is changed
//! ([`confirm`]), and how a command ends ([`failure`], [`stop`]).

mod arguments;
mod calls;
mod commands;
mod confirm;
mod failure;
mod filters;
mod output;
mod stop;
mod store;
mod table;
mod tables;
mod text;
mod time;

pub use stop::Stop;

use std::sync::Arc;

use clap::Parser;

use arguments::{Arguments, Command};
use failure::Failure;
use output::Output;

/// What a command has beside its own arguments.
pub(crate) struct Context<'a> {
    /// Which store, and how it is called.
    store: &'a store::StoreArguments,
    /// What it prints.
    output: &'a mut Output,
    /// Whether the user wants it to end.
    stop: &'a Arc<Stop>,
}

/// Runs the command that the arguments name, without the program's own name, and returns the exit code of the process.
#[must_use]
pub fn run(arguments: Vec<String>, stop: &Arc<Stop>) -> u8 {
    let program = std::iter::once(String::from(arguments::PROGRAM));
    let arguments = match Arguments::try_parse_from(program.chain(arguments)) {
        Ok(arguments) => arguments,
        Err(error) if error.use_stderr() => return failure::wrong_use(&error),
        Err(help) => {
            // Where nobody reads it any more, there is nothing to be done.
            let _ = help.print();
            return 0;
        }
    };
    let mut output = Output::of_process(arguments.json);
    let mut context = Context {
        store: &arguments.store,
        output: &mut output,
        stop,
    };
    let done = run_command(&arguments.command, &mut context);
    let done = done.and_then(|()| Ok(output.finish()?));
    match done {
        Ok(()) => 0,
        Err(failure) => failure.report(),
    }
}

fn run_command(command: &Command, context: &mut Context<'_>) -> Result<(), Failure> {
    match command {
        Command::Sessions(arguments) => commands::sessions::run(arguments, context),
        Command::Vacuum(arguments) => commands::vacuum::run(arguments, context),
        Command::Migrate(arguments) => commands::migrate::run(arguments, context),
    }
}
