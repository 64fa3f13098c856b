//! Tables for people, as wide as the terminal.

use std::fmt;

use comfy_table::presets::NOTHING;
use comfy_table::{Cell, ColumnConstraint, ContentArrangement, Table, Width};
use unicode_width::UnicodeWidthStr;

use super::text::Printable;
use super::wrap::wrap;

/// The columns between two columns of a table.
const BETWEEN: usize = 2;

/// How wide a column is at least that breaks its texts.
const LEAST: usize = 16;

/// A column of a [`Listing`].
#[derive(Debug, Clone, Copy)]
pub(super) struct Column {
    pub(super) header: &'static str,
    pub(super) fit: Fit,
}

impl Column {
    pub(super) const fn new(header: &'static str, fit: Fit) -> Self {
        Self { header, fit }
    }
}

/// What becomes of a column where there is little room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fit {
    /// It stays.
    Needed,
    /// It is left out.
    Wanted,
    /// Its texts are broken, as far as that can be; or it is left out.
    Breaks,
}

/// Rows of which each stays on one line where it can. Columns are in order of their worth: those that do not fit are left out, as
/// are empty ones. Where those that are needed do not fit, each row is a block of lines.
pub(super) struct Listing<const COLUMNS: usize> {
    pub(super) columns: [Column; COLUMNS],
    pub(super) rows: Vec<[String; COLUMNS]>,
    /// How many columns of the terminal there are, if there is a limit.
    pub(super) room: Option<usize>,
}

impl<const COLUMNS: usize> Listing<COLUMNS> {
    /// The columns that are shown, and how wide each is; nothing, if those that are needed do not fit.
    fn shown(&self) -> Option<Vec<(usize, usize)>> {
        let room = self.room.unwrap_or(usize::MAX);
        let mut taken = 0;
        let mut shown = Vec::new();
        for (place, column) in self.columns.iter().enumerate() {
            let texts = self.rows.iter().map(|row| Printable(&row[place]).to_string().width());
            let widest = texts.max().unwrap_or(0);
            if widest == 0 && column.fit != Fit::Needed {
                continue;
            }
            let between = if shown.is_empty() { 0 } else { BETWEEN };
            let left = room.saturating_sub(taken + between);
            let wanted = widest.max(column.header.width());
            let width = match column.fit {
                Fit::Breaks if left >= LEAST => wanted.min(left),
                _ => wanted,
            };
            if width <= left {
                taken += between + width;
                shown.push((place, width));
            } else if column.fit == Fit::Needed {
                return None;
            }
        }
        Some(shown)
    }

    fn table(&self, shown: &[(usize, usize)]) -> Table {
        let mut table = Table::new();
        table
            .load_style(NOTHING)
            .set_content_arrangement(ContentArrangement::Dynamic)
            .set_width(u16::MAX)
            .set_header(shown.iter().map(|(place, _)| self.columns[*place].header));
        for row in &self.rows {
            table.add_row(shown.iter().map(|(place, _)| Cell::new(Printable(&row[*place]))));
        }
        for ((position, column), (_, width)) in table.column_iter_mut().enumerate().zip(shown) {
            let before = if position == 0 { 0 } else { BETWEEN };
            column.set_padding((u16::try_from(before).unwrap_or(0), 0));
            let width = u16::try_from(width + before).unwrap_or(u16::MAX);
            column.set_constraint(ColumnConstraint::Absolute(Width::Fixed(width)));
        }
        table
    }
}

impl<const COLUMNS: usize> fmt::Display for Listing<COLUMNS> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(shown) = self.shown() {
            return write!(formatter, "{}", self.table(&shown).trim_fmt());
        }
        let widest = self.columns[1..].iter().map(|column| column.header.width()).max();
        let indent = BETWEEN + widest.unwrap_or(0) + BETWEEN;
        let width = self.room.unwrap_or(usize::MAX);
        let wrapped = |text: &str, indent| wrap(&Printable(text).to_string(), width, indent, indent);
        for (position, row) in self.rows.iter().enumerate() {
            if position > 0 {
                formatter.write_str("\n\n")?;
            }
            formatter.write_str(&wrapped(&row[0], 0))?;
            for (column, text) in self
                .columns
                .iter()
                .zip(row)
                .skip(1)
                .filter(|(_, text)| !text.is_empty())
            {
                let header = format!("  {}", column.header);
                write!(formatter, "\n{header:indent$}{}", wrapped(text, indent))?;
            }
        }
        Ok(())
    }
}
