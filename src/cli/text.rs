//! Texts that others have written, as they may be shown. What agents print holds control characters, and on a terminal those move
//! the cursor, change the title or paste into the clipboard: none of them gets there.

use std::borrow::Cow;
use std::fmt::{self, Write};

/// A text on one line, without control characters.
pub(super) struct Printable<'a>(pub(super) &'a str);

impl fmt::Display for Printable<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            match character {
                '\n' | '\r' | '\t' => formatter.write_char(' ')?,
                character if is_harmful(character) => formatter.write_char(char::REPLACEMENT_CHARACTER)?,
                character => formatter.write_char(character)?,
            }
        }
        Ok(())
    }
}

/// A JSON text of the same value that does nothing to a terminal: such characters stand within strings, and can be escaped.
pub(super) fn printable_json(text: &str) -> Cow<'_, str> {
    if !text.contains(is_harmful) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        // Between values there may be line feeds, tabs and the like.
        match character {
            '\n' | '\r' | '\t' => out.push(' '),
            character if is_harmful(character) => {
                // Writing to a string does not fail.
                let _ = write!(out, "\\u{:04x}", u32::from(character));
            }
            character => out.push(character),
        }
    }
    Cow::Owned(out)
}

/// Whether it does something to a terminal, or turns the order of the text around it.
pub(super) fn is_harmful(character: char) -> bool {
    let turns = matches!(character, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    character.is_control() || turns
}
