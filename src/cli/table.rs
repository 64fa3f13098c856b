//! Tables for people, as wide as the terminal.

use comfy_table::presets::NOTHING;
use comfy_table::{Cell, ContentArrangement, Table};

use super::text::Printable;

/// A table of rows with these headers, at most `width` columns wide.
pub(super) fn table<const COLUMNS: usize>(
    width: usize,
    headers: [&str; COLUMNS],
    rows: impl IntoIterator<Item = [String; COLUMNS]>,
) -> Table {
    let mut table = Table::new();
    table
        .load_style(NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_width(u16::try_from(width).unwrap_or(u16::MAX))
        .set_header(headers);
    for row in rows {
        table.add_row(row.iter().map(|text| Cell::new(Printable(text))));
    }
    table
}
