//! The command line: reads arguments, opens a store, and runs a command over it. `bindings::command_line` calls [`run`].
//!
//! [`arguments`] has all commands and their help, and [`commands`] a file for each. What they share stands beside it: which store
//! ([`store`], [`schema`], [`incoming`]), which sessions ([`filters`], [`selection`], [`conditions`]), reading it ([`reading`]) and running
//! jobs ([`jobs`], [`progress`]), what is printed ([`output`], [`stdout`], [`table`], [`bars`], [`transcript`], [`wrap`], [`text`], [`time`], [`numbers`])
//! and said beside it ([`stderr`]), asking before something is changed ([`confirm`]), how a command gets memory ([`memory`]), and how it ends
//! ([`failure`], [`option_names`], [`stop`]). [`archive`] is the file of `export` and `import`.

mod archive;
mod arguments;
mod bars;
mod commands;
mod conditions;
mod confirm;
mod failure;
mod filters;
mod incoming;
mod jobs;
mod memory;
mod numbers;
mod option_names;
mod output;
mod progress;
mod reading;
mod schema;
mod selection;
mod stderr;
mod stdout;
mod stop;
mod store;
mod table;
mod text;
mod time;
mod transcript;
mod wrap;

pub use stop::Stop;

use std::io::{self, Write};
use std::sync::Arc;

use anstream::{AutoStream, ColorChoice};
use clap::Parser;

use arguments::{Arguments, Command};
use failure::Failure;
use output::Output;
use stdout::Stdout;

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
pub fn run(arguments: &[String], stop: &Arc<Stop>) -> u8 {
    memory::give_back_large_blocks();
    let program = std::iter::once(arguments::PROGRAM);
    let parsed = match Arguments::try_parse_from(program.chain(arguments.iter().map(String::as_str))) {
        Ok(parsed) => parsed,
        Err(error) if error.use_stderr() => return failure::wrong_use(&error, arguments),
        Err(help) => {
            return match print_help(&help) {
                Ok(()) => 0,
                Err(error) => Failure::from(error).report(arguments),
            };
        }
    };
    let mut output = Output::of_process(parsed.json);
    let mut context = Context {
        store: &parsed.store,
        output: &mut output,
        stop,
    };
    let done = run_command(&parsed.command, &mut context);
    // What a command has printed comes before what it failed with.
    let printed = output.finish().map_err(Failure::from);
    match done.and(printed) {
        Ok(()) => 0,
        Err(failure) => failure.report(arguments),
    }
}

fn print_help(help: &clap::Error) -> io::Result<()> {
    let mut stdout = Stdout::of_process();
    match AutoStream::choice(&io::stdout()) {
        ColorChoice::Never => write!(stdout, "{}", help.render()),
        _ => write!(stdout, "{}", help.render().ansi()),
    }?;
    stdout.flush()
}

fn run_command(command: &Command, context: &mut Context<'_>) -> Result<(), Failure> {
    match command {
        Command::Sessions(arguments) => commands::sessions::run(arguments, context),
        Command::Show(arguments) => commands::show::run(arguments, context),
        Command::Tail(arguments) => commands::tail::run(arguments, context),
        Command::Stats(arguments) => commands::stats::run(arguments, context),
        Command::Copy(arguments) => commands::copy::run(arguments, context),
        Command::Label(arguments) => commands::label::run(arguments, context),
        Command::Fork(arguments) => commands::fork::run(arguments, context),
        Command::Delete(arguments) => commands::delete::run(arguments, context),
        Command::Prune(arguments) => commands::prune::run(arguments, context),
        Command::Compact(arguments) => commands::compact::run(arguments, context),
        Command::Rebuild(arguments) => commands::rebuild::run(arguments, context),
        Command::Backup(arguments) => commands::backup::run(arguments, context),
        Command::Export(arguments) => commands::export::run(arguments, context),
        Command::Import(arguments) => commands::import::run(arguments, context),
        Command::Vacuum(arguments) => commands::vacuum::run(arguments, context),
        Command::Check(arguments) => commands::check::run(arguments, context),
        Command::Migrate(arguments) => commands::migrate::run(arguments, context),
        Command::Completions(arguments) => commands::completions::run(arguments, context),
    }
}
