//! What a command prints on stdout: lines for people, or JSON, one object a line.

use std::io::{self, BufWriter, IsTerminal, Write};

use serde::Serialize;
use terminal_size::{Width, terminal_size_of};

use super::failure::Failure;
use super::stdout::Stdout;
use super::text::Printable;

/// How wide lines are where there is no terminal.
const WIDTH: usize = 100;

/// Stdout.
pub(super) struct Output {
    out: BufWriter<Stdout>,
    is_json: bool,
    is_terminal: bool,
}

impl Output {
    /// The stdout of this process; JSON, or lines for people.
    pub(super) fn of_process(is_json: bool) -> Self {
        Self {
            is_terminal: io::stdout().is_terminal(),
            out: BufWriter::with_capacity(64 << 10, Stdout::of_process()),
            is_json,
        }
    }

    /// Whether JSON is wanted.
    pub(super) fn is_json(&self) -> bool {
        self.is_json
    }

    /// How many columns there are.
    pub(super) fn width(&self) -> usize {
        let width = self.is_terminal.then(|| terminal_size_of(io::stdout())).flatten();
        width.map_or(WIDTH, |(Width(columns), _)| columns.into())
    }

    /// Prints a line.
    pub(super) fn line(&mut self, text: impl std::fmt::Display) -> Result<(), Failure> {
        Ok(writeln!(self.out, "{text}")?)
    }

    /// Prints an object as a line of JSON.
    pub(super) fn json(&mut self, object: &impl Serialize) -> Result<(), Failure> {
        serde_json::to_writer(&mut self.out, object).map_err(io::Error::from)?;
        Ok(self.out.write_all(b"\n")?)
    }

    /// Prints a text for another program to run: as it is, but for what acts on a terminal, which does not get there.
    pub(super) fn script(&mut self, text: &str) -> Result<(), Failure> {
        if self.is_terminal {
            return text.lines().try_for_each(|line| self.line(Printable(line)));
        }
        Ok(self.out.write_all(text.as_bytes())?)
    }

    /// Prints the rest.
    pub(super) fn finish(mut self) -> io::Result<()> {
        self.out.flush()
    }
}
