//! Numbers as bars, side by side to be compared, within the width of the terminal.

use std::iter::repeat_n;

/// How narrow bars may become. Where that is too wide there are none.
const NARROWEST: usize = 5;

/// A line each: its name, its number as people read it, and a bar as long as the number is large.
pub(super) fn bars(width: usize, rows: &[(String, u64, String)]) -> Vec<String> {
    let widest = |texts: &dyn Fn(&(String, u64, String)) -> usize| rows.iter().map(texts).max().unwrap_or(0);
    let name_width = widest(&|(name, _, _)| name.chars().count());
    let text_width = widest(&|(_, _, text)| text.chars().count());
    let highest = rows.iter().map(|(_, number, _)| *number).max().unwrap_or(0).max(1);
    let room = width.saturating_sub(name_width + text_width + 4);
    let line = |(name, number, text): &(String, u64, String)| {
        let bar: String = if room < NARROWEST {
            String::new()
        } else {
            repeat_n('█', length(*number, highest, room)).collect()
        };
        format!(" {name:<name_width$}  {text:>text_width$} {bar}")
            .trim_end()
            .to_owned()
    };
    rows.iter().map(line).collect()
}

/// How many of `room` columns a bar takes: one at least, unless the number is 0.
fn length(number: u64, highest: u64, room: usize) -> usize {
    let columns = u128::from(number) * room as u128 / u128::from(highest);
    let columns = usize::try_from(columns).unwrap_or(room);
    columns.max(usize::from(number > 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_number_fills_the_line_and_no_line_is_wider() {
        let row = |name: &str, number: u64| (name.to_owned(), number, number.to_string());
        let rows = [row("a", 0), row("bc", 1), row("d", u64::MAX)];
        for width in [10, 30, 40, 80] {
            let lines = bars(width, &rows);
            let lengths: Vec<usize> = lines.iter().map(|line| line.matches('█').count()).collect();
            let widths: Vec<usize> = lines.iter().map(|line| line.chars().count()).collect();
            if width >= 40 {
                assert_eq!(lengths, [0, 1, width - 26], "{lines:?}");
                assert!(widths.iter().all(|wide| *wide <= width), "{lines:?}");
            } else if width == 10 {
                assert_eq!(lengths, [0, 0, 0]);
            }
        }
    }
}
