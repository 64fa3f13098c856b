//! Prints entries for people: a heading, and below it, indented, what it is about.

use std::borrow::Cow;
use std::mem;

use anstyle::{AnsiColor, Style};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::content;
use super::entry::{Entry, Kind, Role, ToolCall};
use super::settings;
use crate::cli::failure::Failure;
use crate::cli::output::Output;
use crate::cli::text::Printable;
use crate::cli::time::second;
use crate::cli::wrap::wrap;

/// How far the text below a heading is indented.
pub(super) const INDENT: usize = 2;

/// How many columns a heading that is one line has at least for its text.
const LEAST: usize = 10;

/// How many lines there are of what a tool has printed.
const SHORT: usize = 12;

/// How much there is of what tools have printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli) enum Length {
    /// The first lines.
    Short,
    /// All of it.
    Full,
}

/// Prints entries one below the other.
#[derive(Debug)]
pub(in crate::cli) struct Printer {
    length: Length,
    before: Before,
}

/// What stands above the next entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Before {
    /// It is the first.
    Nothing,
    /// A heading alone.
    Heading,
    /// Text below a heading.
    Text,
}

/// What an entry looks like.
pub(super) struct Look<'a> {
    /// What it is, in a word or two.
    name: &'static str,
    style: Style,
    /// What stands beside that.
    detail: String,
    /// What stands below, and how it looks.
    pub(super) body: Cow<'a, str>,
    pub(super) body_style: Style,
    cut: Cut,
}

/// What of an entry may be cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cut {
    Nothing,
    /// The detail, at the end of its line.
    Detail,
    /// The body, after some lines.
    Body,
}

impl Printer {
    pub(in crate::cli) fn new(length: Length) -> Self {
        Self {
            length,
            before: Before::Nothing,
        }
    }

    /// Prints an entry.
    pub(in crate::cli) fn print(&mut self, entry: &Entry, output: &mut Output) -> Result<(), Failure> {
        let look = Look::of(entry);
        self.heading(&look, output)?;
        let text = self.below(&look, output.width());
        if text.is_empty() {
            return Ok(());
        }
        let text = output.paint(look.body_style, &text);
        output.line(text)
    }

    /// Prints the heading, and leaves the line above it empty where there is text above or below.
    pub(super) fn heading(&mut self, look: &Look<'_>, output: &mut Output) -> Result<(), Failure> {
        let now = if look.body.is_empty() {
            Before::Heading
        } else {
            Before::Text
        };
        let before = mem::replace(&mut self.before, now);
        if before == Before::Text || (before, now) == (Before::Heading, Before::Text) {
            output.line("")?;
        }
        let name = output.paint(look.style, look.name);
        if look.detail.is_empty() {
            return output.line(name);
        }
        let column = look.name.width() + INDENT;
        let detail = Printable(&look.detail).to_string();
        let detail = if look.cut == Cut::Detail {
            cut(&detail, output.width().saturating_sub(column))
        } else {
            wrap(&detail, output.width(), INDENT, column)
        };
        output.line(format_args!("{name}  {detail}"))
    }

    fn below(&self, look: &Look<'_>, width: usize) -> String {
        let text = wrap(&look.body, width, INDENT, 0);
        if self.length == Length::Full || look.cut != Cut::Body {
            return text;
        }
        let lines = text.lines().count();
        if lines <= SHORT + 1 {
            return text;
        }
        let first: Vec<&str> = text.lines().take(SHORT).collect();
        format!("{}\n  … {} more lines: --full", first.join("\n"), lines - SHORT)
    }
}

impl<'a> Look<'a> {
    pub(super) fn of(entry: &'a Entry) -> Self {
        let plain = |name, detail| Self {
            name,
            style: AnsiColor::Cyan.on_default(),
            detail,
            body: Cow::Borrowed(""),
            body_style: Style::new(),
            cut: Cut::Nothing,
        };
        match &entry.kind {
            Kind::Message { role, text, .. } => Self {
                name: match role {
                    Role::User => "user",
                    Role::Agent => "agent",
                    Role::Thought => "thought",
                },
                style: match role {
                    Role::User => AnsiColor::Green.on_default().bold(),
                    Role::Agent => AnsiColor::Blue.on_default().bold(),
                    Role::Thought => Style::new().dimmed(),
                },
                body: text.into(),
                body_style: match role {
                    Role::Thought => Style::new().dimmed(),
                    Role::User | Role::Agent => Style::new(),
                },
                ..plain(
                    "",
                    match role {
                        Role::User => second(entry.created_at),
                        Role::Agent | Role::Thought => String::new(),
                    },
                )
            },
            Kind::ToolCall(call) => Self {
                style: match call.status.as_deref() {
                    Some("failed") => AnsiColor::Red.on_default().bold(),
                    _ => AnsiColor::Yellow.on_default().bold(),
                },
                body: of_tool(call).into(),
                cut: Cut::Body,
                ..plain("tool", title_of_tool(call))
            },
            Kind::Permission {
                title,
                options,
                outcome,
                ..
            } => {
                let names: Vec<&str> = options.iter().map(|option| &*option.name).collect();
                let answer = match outcome {
                    None => format!("{}?", names.join(" or ")),
                    Some(outcome) => format!("answered: {}", outcome.words(options)),
                };
                Self {
                    style: AnsiColor::Magenta.on_default().bold(),
                    ..plain("permission", format!("{title} · {answer}"))
                }
            }
            Kind::Plan { entries } => {
                let line = |step: &super::entry::Step| {
                    let mark = match &*step.status {
                        "completed" => "[x]",
                        "in_progress" => "[>]",
                        _ => "[ ]",
                    };
                    format!("{mark} {}", step.content)
                };
                let body = entries.iter().map(line).collect::<Vec<_>>().join("\n");
                Self {
                    body: body.into(),
                    ..plain("plan", String::new())
                }
            }
            Kind::Settings { settings } => plain("settings", settings::text(settings)),
            Kind::End { stop_reason, tokens } => {
                let tokens = tokens.map(|(used, size)| format!("{used} of {size} tokens in use"));
                let reason = (stop_reason != "end_turn").then(|| stop_reason.replace('_', " "));
                let detail: Vec<String> = reason.into_iter().chain(tokens).collect();
                Self {
                    style: Style::new().dimmed(),
                    ..plain("end of turn", detail.join(" · "))
                }
            }
            Kind::Error { method, code, message } => {
                let method = method.as_ref().map(|method| format!("{method}: ")).unwrap_or_default();
                let code = code.map(|code| format!(" ({code})")).unwrap_or_default();
                Self {
                    style: AnsiColor::Red.on_default().bold(),
                    ..plain("error", format!("{method}{message}{code}"))
                }
            }
            Kind::Note { sender, text } => Self {
                style: Style::new().dimmed(),
                cut: Cut::Detail,
                ..plain(sender, text.clone())
            },
        }
    }
}

/// The text, or so much of its beginning as `columns` have room for, wherever its words end.
fn cut(text: &str, columns: usize) -> String {
    let columns = columns.max(LEAST);
    let mut taken = 0;
    let mut end = 0;
    for (at, character) in text.char_indices() {
        taken += character.width().unwrap_or(0);
        if taken > columns {
            return format!("{}…", &text[..end]);
        }
        // The last column is for what says that it was cut.
        if taken < columns {
            end = at + character.len_utf8();
        }
    }
    text.to_owned()
}

/// `Write hello.txt · edit · completed`
fn title_of_tool(call: &ToolCall) -> String {
    let title = call.title.as_ref().unwrap_or(&call.id);
    let more = [&call.kind, &call.status].into_iter().flatten();
    let more = more.map(|word| word.replace('_', " "));
    std::iter::once(title.clone())
        .chain(more)
        .collect::<Vec<_>>()
        .join(" · ")
}

/// What it was given and what it has brought.
fn of_tool(call: &ToolCall) -> String {
    let input = call
        .raw_input
        .as_ref()
        .map(|input| format!("input: {}", content::value(input)));
    let output = match (&call.raw_output, &*call.content) {
        (Some(output), []) => Some(content::value(output)),
        (_, []) => None,
        (_, content) => Some(content::of_tool_call(content)),
    };
    input.into_iter().chain(output).collect::<Vec<_>>().join("\n")
}
