//! Which indexes of a table nothing needs, since another one does what they do.

use super::finding::{Code, Finding};

/// An index that holds every row, as a backend describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Index {
    /// The table's name.
    pub table: String,
    /// Its own name.
    pub name: String,
    /// Whether it holds one row a key.
    pub unique: bool,
    /// Whether it belongs to a constraint, such as a primary key, and cannot be dropped alone.
    pub of_constraint: bool,
    /// Its columns in order, each with all that says how it is sorted.
    pub keys: Vec<String>,
}

/// A finding for each index that another one makes needless.
#[must_use]
pub fn redundant(indexes: &[Index]) -> Vec<Finding> {
    let droppable = indexes.iter().filter(|index| !index.of_constraint);
    let found = droppable.filter_map(|index| {
        let other = indexes.iter().find(|other| makes_needless(other, index))?;
        let finding = Finding::new(
            Code::RedundantIndex,
            format!(
                "index {:?} is of no use beside index {:?}, and costs each write",
                index.name, other.name
            ),
            "drop it (DROP INDEX), unless a program of yours names it",
        );
        Some(finding.of_table(&index.table))
    });
    found.collect()
}

fn makes_needless(other: &Index, index: &Index) -> bool {
    if other.table != index.table || other.name == index.name {
        return false;
    }
    if other.keys == index.keys {
        // Of two that are the same, one stays.
        let rank = |index: &Index| (!index.unique, !index.of_constraint, index.name.clone());
        return rank(other) < rank(index);
    }
    // What finds one row at most needs no more columns.
    !index.unique && (other.keys.starts_with(&index.keys) || (other.unique && index.keys.starts_with(&other.keys)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index(name: &str, unique: bool, of_constraint: bool, keys: &str) -> Index {
        Index {
            table: String::from("events"),
            name: name.to_owned(),
            unique,
            of_constraint,
            keys: keys.split(' ').map(str::to_owned).collect(),
        }
    }

    #[test]
    fn an_index_is_needless_beside_one_that_finds_the_same_rows() {
        let indexes = [
            index("key", true, true, "id"),
            index("place", true, false, "session event"),
            index("order", false, false, "session event id"),
            index("place_again", true, false, "session event"),
            index("session", false, false, "session"),
            index("id", false, false, "id"),
            index("owners", false, false, "sender id"),
            index("other_place", true, false, "event session"),
        ];
        let found = redundant(&indexes);
        let names: Vec<&str> = found
            .iter()
            .filter_map(|found| found.message.split('"').nth(1))
            .collect();
        assert_eq!(names, ["order", "place_again", "session", "id"]);
    }
}
