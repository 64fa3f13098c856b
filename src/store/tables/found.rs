//! A table as it was found in a database.

use std::collections::HashMap;

/// A table of one of our names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FoundTable {
    /// What it is, such as `a view`, if it is not a table.
    pub other_than_table: Option<&'static str>,
    /// Columns by name.
    pub columns: HashMap<String, FoundColumn>,
    /// Its indexes, but for those that do not hold every row.
    pub indexes: Vec<FoundIndex>,
}

/// A column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundColumn {
    /// Its type, in the database's words.
    pub data_type: String,
    /// Whether it refuses NULL.
    pub not_null: bool,
    /// Whether an insert that does not name the column fails.
    pub must_be_given: bool,
    /// Whether the table computes the column, so that no insert can name it.
    pub generated: bool,
}

/// An index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundIndex {
    /// Whether it holds one row a key, and says so at once.
    pub unique: bool,
    /// Its columns in order.
    pub columns: Vec<IndexedColumn>,
}

/// A column of an index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexedColumn {
    /// The column's name; `?` for an expression.
    pub name: String,
    /// Whether the index sorts it as our statements do.
    pub sorted_as_ours: bool,
}

impl FoundTable {
    /// Whether a unique index holds exactly these columns, however it sorts them.
    #[must_use]
    pub fn is_unique(&self, columns: &[&str]) -> bool {
        let is_of = |index: &FoundIndex| {
            index
                .columns
                .iter()
                .map(|column| &*column.name)
                .eq(columns.iter().copied())
        };
        self.indexes.iter().any(|index| index.unique && is_of(index))
    }

    /// Whether an index begins with these columns, sorted as our statements sort them.
    #[must_use]
    pub fn is_ordered_by(&self, columns: &[&str]) -> bool {
        self.indexes.iter().any(|index| {
            let sorted = index.columns.iter().take_while(|column| column.sorted_as_ours);
            let mut sorted = sorted.map(|column| &*column.name);
            columns.iter().all(|column| sorted.next() == Some(*column))
        })
    }
}
