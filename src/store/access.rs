//! What a driver may do with a store.

/// See the module's description.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Read and write; create the database's file and tables, and change the tables as needed.
    Migrate,
    /// Read and write, where the tables are ready.
    Write,
    /// Read, where the tables are ready.
    Read,
}
