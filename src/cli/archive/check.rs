//! The first pass of an import: goes through a whole file, and collects what is wrong with it. Nothing is written meanwhile.

use std::sync::Arc;

use super::format::Total;
use super::input::Input;
use super::lines::LineBound;
use super::problem::WrongLine;
use super::reader::Reader;
use crate::cli::failure::Failure;
use crate::cli::progress::{HowFar, Progress, Unit};
use crate::cli::stop::Stop;

/// How many wrong lines are named.
const NAMED: usize = 20;

/// After how many lines it is asked whether to go on, and shown how far it is.
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
pub(in crate::cli) fn check(input: &Input, bound: LineBound, stop: &Arc<Stop>) -> Result<Checked, Failure> {
    let mut reader = Reader::of(input.read_while_wanted(stop)?, bound);
    let progress = Progress::of(&|(done, total): &(u64, u64)| HowFar {
        done: *done,
        total: Some(*total),
        unit: Unit::Bytes,
    });
    let (mut wrong, mut more_wrong) = (Vec::new(), 0);
    for line in 1_u64.. {
        let next = reader.next();
        if (next.is_err() || line.is_multiple_of(LINES_AT_ONCE)) && stop.is_requested() {
            return Err(Failure::Stopped(stop.code()));
        }
        match next {
            Ok(Some(_)) => {}
            Ok(None) => break,
            Err(found) if wrong.len() < NAMED => wrong.push(found),
            Err(_) => more_wrong += 1,
        }
        if line.is_multiple_of(LINES_AT_ONCE)
            && let Ok(so_far) = input.how_far()
        {
            progress.show(&so_far);
        }
    }
    Ok(Checked {
        total: reader.total(),
        wrong,
        more_wrong,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_line_without_an_end_keeps_nobody_waiting_who_has_ended_it() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(&vec![b'x'; 1 << 20]).unwrap();
        let stop = Arc::new(Stop::default());
        let input = Input::open(file.path(), &stop).unwrap();
        stop.request(130);
        let checked = check(&input, LineBound::default(), &stop);
        assert!(matches!(checked, Err(Failure::Stopped(130))));
    }
}
