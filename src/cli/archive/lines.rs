//! The lines of a file, one at a time, of which none takes more memory than is allowed.

use std::fmt;
use std::io::{self, BufRead, Read};

use crate::store::write::MAX_WRITE_BYTES;

/// How long a line may be: more than any event that is not made to be large.
const LINE_BYTES: usize = 64 << 20;

/// What stands around the text of an event, at most.
const FRAME_BYTES: usize = 1 << 10;

/// How long a line may be made by `--max-line-bytes`: no store takes more.
const MOST_LINE_BYTES: usize = MAX_WRITE_BYTES + FRAME_BYTES;

/// How much memory is kept for the next line, whatever the last one took.
const KEPT_BYTES: usize = 1 << 20;

/// How long a line may be, in bytes, its newline aside.
#[derive(Debug, Clone, Copy)]
pub(in crate::cli) struct LineBound(usize);

impl Default for LineBound {
    fn default() -> Self {
        Self(LINE_BYTES)
    }
}

impl fmt::Display for LineBound {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

impl LineBound {
    /// A bound that is an argument.
    pub(in crate::cli) fn parse(text: &str) -> Result<Self, String> {
        let bytes = text.parse().ok().filter(|bytes| (1..=MOST_LINE_BYTES).contains(bytes));
        bytes
            .map(Self)
            .ok_or_else(|| format!("write a number of bytes, {MOST_LINE_BYTES} at most: no store takes more"))
    }
}

/// See the module's description.
pub(super) struct Lines<R> {
    input: R,
    bound: LineBound,
    line: Vec<u8>,
    /// Whether that is the beginning of the next line, and not the last one.
    is_begun: bool,
    next_number: u64,
}

/// The next line.
pub(super) enum NextLine<'a> {
    /// Its bytes, without the newline.
    Line(&'a [u8]),
    /// It has more bytes than it may have, and was skipped.
    TooLong { bound: usize },
    /// There is none.
    None,
}

impl<R: BufRead> Lines<R> {
    pub(super) fn new(input: R, bound: LineBound) -> Self {
        Self {
            input,
            bound,
            line: Vec::new(),
            is_begun: false,
            next_number: 1,
        }
    }

    /// Which line the next one is, from 1.
    pub(super) fn next_number(&self) -> u64 {
        self.next_number
    }

    /// Whether the next line begins with this. No more of it is read.
    pub(super) fn next_begins_with(&mut self, beginning: &str) -> io::Result<bool> {
        self.read_on(beginning.len())?;
        self.is_begun = true;
        Ok(self.line.starts_with(beginning.as_bytes()))
    }

    /// Frees the memory of the last line, where that takes much.
    pub(super) fn let_go(&mut self) {
        if !self.is_begun && self.line.capacity() > KEPT_BYTES {
            self.line = Vec::new();
        }
    }

    pub(super) fn next(&mut self) -> io::Result<NextLine<'_>> {
        let bound = self.bound.0;
        self.read_on(bound + 1)?;
        self.is_begun = false;
        self.next_number += 1;
        let has_end = self.line.pop_if(|byte| *byte == b'\n').is_some();
        if self.line.len() > bound {
            if !has_end {
                self.input.skip_until(b'\n')?;
            }
            return Ok(NextLine::TooLong { bound });
        }
        if self.line.is_empty() && !has_end {
            return Ok(NextLine::None);
        }
        Ok(NextLine::Line(&self.line))
    }

    /// Has the first bytes of the next line in memory, so many at most, its newline among them.
    fn read_on(&mut self, most: usize) -> io::Result<()> {
        if !self.is_begun {
            self.line.clear();
            self.line.shrink_to(KEPT_BYTES);
        }
        if self.line.last() != Some(&b'\n') {
            let missing = most.saturating_sub(self.line.len());
            (&mut self.input)
                .take(missing as u64)
                .read_until(b'\n', &mut self.line)?;
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_is_too_long_is_skipped_and_the_next_one_read() {
        let mut lines = Lines::new(&b"abc\n\nabcd\nabcdefgh\nx"[..], LineBound(3));
        let mut read = Vec::new();
        loop {
            match lines.next().unwrap() {
                NextLine::Line(line) => read.push(String::from_utf8(line.to_vec()).unwrap()),
                NextLine::TooLong { .. } => read.push(String::from("too long")),
                NextLine::None => break,
            }
        }
        assert_eq!(read, ["abc", "", "too long", "too long", "x"]);
    }

    #[test]
    fn whoever_looks_how_a_line_begins_reads_the_same() {
        let mut lines = Lines::new(&b"abc\n\nabcd\nabcdefgh\nx"[..], LineBound(3));
        let mut read = Vec::new();
        loop {
            let begins = lines.next_begins_with("abcde").unwrap();
            assert_eq!(lines.next_begins_with("abcde").unwrap(), begins);
            read.push((
                begins,
                match lines.next().unwrap() {
                    NextLine::Line(line) => String::from_utf8(line.to_vec()).unwrap(),
                    NextLine::TooLong { .. } => String::from("too long"),
                    NextLine::None => break,
                },
            ));
        }
        let read: Vec<(bool, &str)> = read.iter().map(|(begins, line)| (*begins, &**line)).collect();
        assert_eq!(
            read,
            [
                (false, "abc"),
                (false, ""),
                (false, "too long"),
                (true, "too long"),
                (false, "x")
            ]
        );
    }
}
