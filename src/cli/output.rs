//! What a command prints on stdout: lines for people, or JSON, one object a line.

use std::borrow::Cow;
use std::io::{self, BufWriter, IsTerminal, Write};

use anstream::{AutoStream, ColorChoice};
use anstyle::Style;
use serde::Serialize;
use terminal_size::{Width, terminal_size_of};

use super::failure::Failure;
use super::stdout::Stdout;
use super::text::{Printable, printable_json};

/// How wide lines are where there is no terminal.
const WIDTH: usize = 100;

/// Stdout.
pub(super) struct Output {
    out: BufWriter<Stdout>,
    is_json: bool,
    is_terminal: bool,
    is_colored: bool,
}

impl Output {
    /// The stdout of this process; JSON, or lines for people.
    pub(super) fn of_process(is_json: bool) -> Self {
        Self {
            is_terminal: io::stdout().is_terminal(),
            // It knows NO_COLOR and its like.
            is_colored: AutoStream::choice(&io::stdout()) != ColorChoice::Never,
            out: BufWriter::with_capacity(64 << 10, Stdout::of_process()),
            is_json,
        }
    }

    /// Whether JSON is wanted.
    pub(super) fn is_json(&self) -> bool {
        self.is_json
    }

    /// How many columns there are: those of the terminal, also of one that the user looks at with a pager.
    pub(super) fn width(&self) -> usize {
        let of_stdout = self.is_terminal.then(|| terminal_size_of(io::stdout())).flatten();
        let width = of_stdout.or_else(|| terminal_size_of(io::stderr()));
        width.map_or(WIDTH, |(Width(columns), _)| columns.into())
    }

    /// Within how many columns a line has to stay. In a pipe nothing limits it: whoever reads there looks for whole lines.
    pub(super) fn room(&self) -> Option<usize> {
        self.is_terminal.then(|| self.width())
    }

    /// The text in this style, where there are colours.
    pub(super) fn paint<'t>(&self, style: Style, text: &'t str) -> Cow<'t, str> {
        if self.is_colored && style != Style::new() {
            return Cow::Owned(format!("{style}{text}{style:#}"));
        }
        Cow::Borrowed(text)
    }

    /// Prints a part of a line, or several lines.
    pub(super) fn text(&mut self, text: &str) -> Result<(), Failure> {
        Ok(self.out.write_all(text.as_bytes())?)
    }

    /// Prints a line.
    pub(super) fn line(&mut self, text: impl std::fmt::Display) -> Result<(), Failure> {
        Ok(writeln!(self.out, "{text}")?)
    }

    /// Prints an object as a line of JSON.
    pub(super) fn json(&mut self, object: &impl Serialize) -> Result<(), Failure> {
        let text = serde_json::to_string(object).map_err(io::Error::from)?;
        self.json_text(&text)
    }

    /// Prints the JSON text of an object as a line: as it is, but for what acts on a terminal, which is escaped there.
    pub(super) fn json_text(&mut self, text: &str) -> Result<(), Failure> {
        if self.is_terminal {
            return self.line(printable_json(text));
        }
        self.line(text)
    }

    /// Prints what has come so far.
    pub(super) fn flush(&mut self) -> Result<(), Failure> {
        Ok(self.out.flush()?)
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
