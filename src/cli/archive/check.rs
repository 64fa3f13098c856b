//! The first pass of an import: goes through a whole file, and collects what is wrong with it. Nothing is written meanwhile.

use super::format::Total;
use super::input::Input;
use super::lines::LineBound;
use super::problem::WrongLine;
use super::reader::Reader;
use crate::cli::failure::Failure;
use crate::cli::stop::Stop;

/// How many wrong lines are named.
const NAMED: usize = 20;

/// After how many lines it is asked whether to go on.
const LINES_AT_ONCE: u64 = 1_000;

/// What a file holds.
pub(in crate::cli) struct Checked {
    /// How much there is in it, as far as it could be read.
    pub(in crate::cli) total: Total,
    /// The first lines that are wrong.
    pub(in crate::cli) wrong: Vec<WrongLine>,
    /// How many others are.
    pub(in crate::cli) more_wrong: u64,
}

/// Checks every line, unless the user wants it to end.
pub(in crate::cli) fn check(input: &Input, bound: LineBound, stop: &Stop) -> Result<Checked, Failure> {
    let mut reader = Reader::new(input, bound)?;
    let (mut wrong, mut more_wrong) = (Vec::new(), 0);
    for line in 1_u64.. {
        match reader.next() {
            Ok(Some(_)) => {}
            Ok(None) => break,
            Err(found) if wrong.len() < NAMED => wrong.push(found),
            Err(_) => more_wrong += 1,
        }
        if line.is_multiple_of(LINES_AT_ONCE) && stop.is_requested() {
            return Err(Failure::Stopped(stop.code()));
        }
    }
    Ok(Checked {
        total: reader.total(),
        wrong,
        more_wrong,
    })
}
