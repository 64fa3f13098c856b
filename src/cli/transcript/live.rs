//! Prints entries while they grow: pieces of messages as they come, and other entries again when they have changed.

use std::collections::HashMap;

use super::entries::{Change, Transcript};
use super::entry::Kind;
use super::print::{INDENT, Length, Look, Printer};
use crate::cli::failure::Failure;
use crate::cli::output::Output;
use crate::cli::wrap::Wrapper;
use crate::store::model::SessionEvent;

/// A transcript that is followed.
#[derive(Debug)]
pub(in crate::cli) struct Live {
    transcript: Transcript,
    printer: Printer,
    /// The message whose text stands last, and where its line is.
    message: Option<(usize, Wrapper)>,
    /// With which status the tool calls of this turn were printed.
    statuses: HashMap<usize, Option<String>>,
}

impl Live {
    pub(in crate::cli) fn new() -> Self {
        Self {
            transcript: Transcript::default(),
            printer: Printer::new(Length::Short),
            message: None,
            statuses: HashMap::new(),
        }
    }

    /// Prints what the event says.
    pub(in crate::cli) fn push(&mut self, event: &SessionEvent<'_>, output: &mut Output) -> Result<(), Failure> {
        let change = self.transcript.push(event);
        match change {
            Change::None => {}
            Change::Grown(number, piece) => self.grow(number, &piece, output)?,
            Change::Added(number) | Change::Changed(number) => self.print(number, output)?,
            Change::Ended => {
                self.statuses.clear();
                self.end_message(output)?;
                if let Some(end) = self.transcript.end() {
                    self.printer.print(end, output)?;
                }
            }
        }
        // They are printed.
        self.transcript.take_whole();
        Ok(())
    }

    /// Prints the last word of what has come so far, though it may go on.
    pub(in crate::cli) fn pause(&mut self, output: &mut Output) -> Result<(), Failure> {
        if let Some((_, wrapper)) = &mut self.message {
            let mut out = String::new();
            wrapper.flush(&mut out);
            output.text(&out)?;
        }
        output.flush()
    }

    /// Ends the last line.
    pub(in crate::cli) fn finish(mut self, output: &mut Output) -> Result<(), Failure> {
        self.end_message(output)
    }

    fn print(&mut self, number: usize, output: &mut Output) -> Result<(), Failure> {
        if self.is_told(number) {
            return Ok(());
        }
        self.end_message(output)?;
        let Some(entry) = self.transcript.entry(number) else {
            return Ok(());
        };
        let Kind::Message { text, .. } = &entry.kind else {
            return self.printer.print(entry, output);
        };
        let text = text.clone();
        self.begin(number, output)?;
        self.grow(number, &text, output)
    }

    /// Whether it is a tool call that was printed with this status before. What a tool prints comes with each update as a whole:
    /// once, when the tool has ended, is enough.
    fn is_told(&mut self, number: usize) -> bool {
        match self.transcript.entry(number).map(|entry| &entry.kind) {
            Some(Kind::ToolCall(call)) => {
                self.statuses.insert(number, call.status.clone()).as_ref() == Some(&call.status)
            }
            _ => false,
        }
    }

    /// Prints the heading of a message, below which its text comes.
    fn begin(&mut self, number: usize, output: &mut Output) -> Result<(), Failure> {
        self.end_message(output)?;
        if let Some(entry) = self.transcript.entry(number) {
            self.printer.heading(&Look::of(entry), output)?;
            self.message = Some((number, Wrapper::new(output.width(), INDENT, 0)));
        }
        Ok(())
    }

    fn grow(&mut self, number: usize, piece: &str, output: &mut Output) -> Result<(), Failure> {
        if self.message.as_ref().is_none_or(|(last, _)| *last != number) {
            self.begin(number, output)?;
        }
        let mut out = String::new();
        if let Some((_, wrapper)) = &mut self.message {
            wrapper.push(piece, &mut out);
        }
        output.text(&out)
    }

    fn end_message(&mut self, output: &mut Output) -> Result<(), Failure> {
        let mut out = String::new();
        if let Some((_, mut wrapper)) = self.message.take() {
            wrapper.finish(&mut out);
        }
        output.text(&out)
    }
}
