//! Breaks texts into lines, as they come: what a piece of a text is printed as does not depend on what comes after it, but for its
//! last word. Nothing of it does anything to a terminal.

use anstream::adapter::strip_str;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::text::is_harmful;

/// How many columns a tab is wide.
const TAB: usize = 4;

/// How many columns there are for text at least, however far it is indented.
const LEAST: usize = 10;

/// What joins characters to one, such as a family of emoji.
const JOINER: char = '\u{200d}';

/// A text that is being broken into lines.
#[derive(Debug)]
pub(super) struct Wrapper {
    width: usize,
    indent: usize,
    /// How many columns of the line are taken. A line that has just begun has none, and is not indented yet.
    column: usize,
    /// The spaces before the word. At the end of a line they are dropped.
    spaces: usize,
    word: String,
    /// Whether the last character was a carriage return, which is one end of a line with the line feed after it.
    after_return: bool,
}

impl Wrapper {
    /// Lines of `width` columns, of which the first `indent` stay empty. Of the first line `column` are taken.
    pub(super) fn new(width: usize, indent: usize, column: usize) -> Self {
        Self {
            width: width.max(indent + LEAST),
            indent,
            column,
            spaces: 0,
            word: String::new(),
            after_return: false,
        }
    }

    /// Appends what can be printed of the text to `out`: all but its last word, which may go on.
    pub(super) fn push(&mut self, text: &str, out: &mut String) {
        for character in strip_str(text).flat_map(str::chars) {
            let after_return = std::mem::replace(&mut self.after_return, character == '\r');
            match character {
                '\n' if after_return => {}
                '\n' | '\r' => {
                    self.flush(out);
                    self.end_line(out);
                }
                ' ' | '\t' => {
                    self.flush(out);
                    self.spaces += if character == '\t' { TAB } else { 1 };
                }
                character if is_harmful(character) => self.word.push(char::REPLACEMENT_CHARACTER),
                character => {
                    // Between the wide characters of East Asian texts, which have no spaces, lines may end.
                    let is_wide = character.width() == Some(2) && !is_modifier(character);
                    if is_wide && !self.word.ends_with(JOINER) {
                        self.flush(out);
                    }
                    self.word.push(character);
                }
            }
        }
    }

    /// Appends the last word.
    pub(super) fn flush(&mut self, out: &mut String) {
        let word = std::mem::take(&mut self.word);
        if word.is_empty() {
            return;
        }
        let is_first = self.column <= self.indent;
        // Spaces at the beginning of a line are the text's own indentation.
        let spaces = std::mem::take(&mut self.spaces);
        let spaces = if is_first {
            spaces.min((self.width - self.indent) / 2)
        } else {
            spaces
        };
        if !is_first && self.column + spaces + word.width() > self.width {
            self.end_line(out);
            self.begin_line(out);
        } else {
            self.begin_line(out);
            out.extend(std::iter::repeat_n(' ', spaces));
            self.column += spaces;
        }
        if self.column + word.width() <= self.width {
            self.column += word.width();
            out.push_str(&word);
            return;
        }
        for character in word.chars() {
            let columns = character.width().unwrap_or(0);
            if self.column + columns > self.width {
                self.end_line(out);
                self.begin_line(out);
            }
            self.column += columns;
            out.push(character);
        }
    }

    /// Ends the line, if there is anything on it.
    pub(super) fn finish(&mut self, out: &mut String) {
        self.flush(out);
        if self.column > 0 {
            self.end_line(out);
        }
    }

    fn begin_line(&mut self, out: &mut String) {
        if self.column < self.indent {
            out.extend(std::iter::repeat_n(' ', self.indent - self.column));
            self.column = self.indent;
        }
    }

    fn end_line(&mut self, out: &mut String) {
        out.push('\n');
        self.column = 0;
        self.spaces = 0;
    }
}

/// Whether it changes the look of the emoji before it.
fn is_modifier(character: char) -> bool {
    matches!(character, '\u{1f3fb}'..='\u{1f3ff}')
}

/// A whole text as lines, without the empty ones at its end.
pub(super) fn wrap(text: &str, width: usize, indent: usize, column: usize) -> String {
    let mut wrapper = Wrapper::new(width, indent, column);
    let mut out = String::new();
    wrapper.push(text, &mut out);
    wrapper.finish(&mut out);
    out.truncate(out.trim_end_matches('\n').len());
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_as_wide_as_they_may_be_in_columns_of_a_terminal() {
        for (text, lines) in [
            ("one two three four", "  one two\n  three four"),
            ("  a = 1;\n\n\tb\r\nc\rd", "    a = 1;\n\n      b\n  c\n  d"),
            ("0123456789abcdef", "  0123456789\n  abcdef"),
            ("你好世界你好世界", "  你好世界你\n  好世界"),
            ("go 你好世界", "  go 你好世\n  界"),
            ("👨‍👩‍👧 👨‍👩‍👧 👨‍👩‍👧 👨‍👩‍👧 👨‍👩‍👧", "  👨‍👩‍👧 👨‍👩‍👧 👨‍👩‍👧\n  👨‍👩‍👧 👨‍👩‍👧"),
            ("e\u{301}e\u{301}e\u{301} 5", "  e\u{301}e\u{301}e\u{301} 5"),
        ] {
            assert_eq!(wrap(text, 12, 2, 0), lines);
        }
        assert_eq!(wrap("title of it", 12, 2, 6), "title\n  of it");
    }

    #[test]
    fn what_acts_on_a_terminal_is_taken_out_or_replaced() {
        let text = "\u{1b}[31mred\u{1b}[0m \u{1b}]0;title\u{7}\u{9b}2J\u{202e}\u{8}end";
        assert_eq!(wrap(text, 40, 0, 0), "red \u{fffd}2J\u{fffd}end");
    }

    #[test]
    fn a_text_in_pieces_has_the_same_lines() {
        let text = "It went through, and nothing is left to do.\nAll 12 tests: 你好世界";
        for size in 1..12 {
            let mut wrapper = Wrapper::new(20, 2, 0);
            let mut out = String::new();
            let characters: Vec<char> = text.chars().collect();
            for piece in characters.chunks(size) {
                wrapper.push(&piece.iter().collect::<String>(), &mut out);
            }
            wrapper.flush(&mut out);
            assert_eq!(out, wrap(text, 20, 2, 0));
        }
    }
}
